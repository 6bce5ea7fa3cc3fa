package tokens

// Remembers tells whether the token's next use costs no signature check.
func (v *Verifier) Remembers(token string) bool { return v.seen.get(token, v.seen.hash(token)) != nil }

// Remembered is how much is held: entries, and the bytes that are counted for them.
func (v *Verifier) Remembered() (entries int, size int64) {
	for i := range v.seen.shards {
		s := &v.seen.shards[i]
		s.mu.RLock()
		entries += len(s.ring)
		size += s.size
		if len(s.ring) != len(s.byHash) {
			panic("ring and map do not hold the same")
		}
		s.mu.RUnlock()
	}
	return entries, size
}

// Look looks at the key directory, as the clock does.
func (a *Authority) Look() error { return a.verifier.ring.look() }

// KnowsLate tells whether a token is known to have expired.
func (v *Verifier) KnowsLate(token string) bool { return v.late.get(token, v.late.hash(token)) != nil }
