package users

import "sync"

// Notice is of something that may end what was let in before: an account that was
// written, or a session that was ended.
type Notice struct {
	UserID int64  // 0: none
	Family Family // 0: none
	All    bool   // more than can be named
}

// Watch calls f for every change from now on until stop is called: at once for those
// that this process makes, after about a second for those of others. A change may be
// told more than once. f must be quick, must not call the Store, and may be called
// by several goroutines at once.
func (s *Store) Watch(f func(Notice)) (stop func()) { return s.watchers.add(f) }

// watchers are told of changes. nil has none.
type watchers struct {
	mu   sync.RWMutex
	last int
	all  map[int]func(Notice)
}

func (w *watchers) add(f func(Notice)) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[int]func(Notice){}
	}
	w.last++
	id := w.last
	w.all[id] = f
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, id)
	}
}

func (w *watchers) tell(c Notice) {
	if w == nil {
		return
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, f := range w.all {
		f(c)
	}
}
