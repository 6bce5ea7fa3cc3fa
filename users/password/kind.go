package password

// work is how much a hash takes, in the terms of its kind; the rest is zero.
type work struct {
	m int // argon2: KiB of memory
	t int // argon2: passes; pbkdf2: iterations; bcrypt: logarithm of the rounds
	p int // argon2: lanes; scrypt: parallelism
	n int // scrypt: cost
	r int // scrypt: block size
}

// term returns the number of that name, which is one of a kind's numbers.
func (w *work) term(name string) *int {
	switch name {
	case "m":
		return &w.m
	case "t":
		return &w.t
	case "p":
		return &w.p
	case "n":
		return &w.n
	default:
		return &w.r
	}
}

// memory returns what a hash of this work allocates, in KiB.
func (w work) memory() int { return w.m + (w.n+w.p)*w.r/8 }

// kind is one way of hashing.
type kind struct {
	name   string
	legacy bool // verified only with Config.AcceptLegacy

	effort func(work) int  // grows with the time that a hash takes; nil: none to speak of
	most   int             // the effort that a check may take
	valid  func(work) bool // whether the function is defined for that work
	check  func(plain string, s stored) bool

	// For the kinds that new passwords may have; encode is nil for the others.
	numbers  []string // the terms of its work, in the order in which they are written
	usual    work     // the default
	least    work     // what configuration may ask for at least
	cheapest work     // for tests
	encode   func(plain string, w work) (string, error)
}

// maxMemory bounds what one hash may allocate, in KiB. Django's argon2 takes 100 MiB.
const maxMemory = 256 << 10

// bearable tells whether w is valid for k and within what a check may take: some
// seconds of one core. The factors are bounded first, so that no product overflows.
func (k *kind) bearable(w work) bool {
	if w.m > maxMemory || w.t > 1<<24 || w.p > 64 || w.n > 1<<24 || w.r > 1<<10 {
		return false
	}
	return w.memory() <= maxMemory && k.valid(w) && k.effort(w) <= k.most
}

// preferable returns the kind of that name if new passwords may have it; the
// empty name is argon2id.
func preferable(name string) (*kind, bool) {
	if name == "" {
		return &argon2ID, true
	}
	for _, k := range []*kind{&argon2ID, &pbkdf2SHA256, &scryptPlain, &bcryptSHA256} {
		if k.name == name {
			return k, true
		}
	}
	return nil, false
}

// makeUp spends the work that a hash of k with w lacks to one with want, so that
// the two take about the same time. It does nothing where w is the larger.
func (k *kind) makeUp(plain string, w, want work) {
	switch k {
	case &pbkdf2SHA256:
		if w.t < want.t {
			checkPBKDF2(plain, stored{kind: k, salt: "salt", work: work{t: want.t - w.t}})
		}
	case &bcryptSHA256:
		// A cost of n is as much as one of each from w up to n-1, and one more w.
		for t := w.t; t < want.t; t++ {
			_, _ = encodeBcrypt(plain, work{t: t})
		}
	case &scryptPlain:
		if w.n == want.n && w.r == want.r && w.p < want.p {
			checkScrypt(plain, stored{kind: k, salt: "salt", work: work{n: w.n, r: w.r, p: want.p - w.p}})
		}
	case &argon2ID:
		if lacking := want.m*want.t - w.m*w.t; lacking >= 8*want.p {
			passes := (lacking + want.m - 1) / want.m // no more memory than want has
			sumArgon2(k.name, plain, "somesalt", work{m: lacking / passes, t: passes, p: want.p}, argon2Size)
		}
	}
}
