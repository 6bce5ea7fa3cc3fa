package upstream

// follow takes over from the upstream before what does not depend on anything that has
// changed: which servers are down or left out, what each of them has in flight, and who
// has a slot.
func (u *Upstream) follow(before *Upstream) {
	if before == nil {
		return
	}
	u.began = before.began // by which servers tell when they return
	now, then := u.settings, before.settings
	if now.Health == then.Health {
		for i, s := range u.servers {
			for _, old := range before.servers {
				if s.endpoint != old.endpoint {
					continue
				}
				// What TLS names are files, which may have changed under the same name.
				if now.TLS == then.TLS && now.TLS.CAFile == "" && now.TLS.CertFile == "" && s.keepAlive == old.keepAlive {
					u.servers[i] = old
				} else {
					s.follow(old)
				}
			}
		}
	}
	if u.slots != nil && before.slots != nil && cap(u.slots.taken) == cap(before.slots.taken) && u.slots.most == before.slots.most {
		u.slots = before.slots
	}
}

// follow begins with what is known of the server by its other settings.
func (s *server) follow(old *server) {
	s.down.Store(old.down.Load())
	s.broken.Store(old.broken.Load())
	s.ejections.Store(old.ejections.Load())
	s.back.Store(old.back.Load())
}
