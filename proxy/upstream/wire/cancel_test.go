package wire

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hung is a connection for a watch alone, and how often it was hung up.
func hung() (*conn, *atomic.Int64) {
	n := new(atomic.Int64)
	return &conn{hang: func() { n.Add(1) }}, n
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (w *watch) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.runs && len(w.young) == 0
}

func (w *watch) told(c *conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return c.watched.stop != nil
}

func TestACanceledExchangeIsHungUp(t *testing.T) {
	for _, when := range []string{"before it begins", "while it is young", "when it was told"} {
		t.Run(when, func(t *testing.T) {
			var w watch
			c, hangs := hung()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if when == "before it begins" {
				cancel()
			}
			w.begin(ctx, c)
			if when == "when it was told" {
				waitFor(t, "the context is told", func() bool { return w.told(c) })
			}
			cancel()
			waitFor(t, "the connection is hung up", func() bool { return hangs.Load() == 1 })
			if w.end(c) {
				t.Error("the connection is to be used again")
			}
			waitFor(t, "nothing is watched any more", w.idle)
		})
	}
}

func TestAnExchangeThatHasEndedIsNotHungUp(t *testing.T) {
	for _, long := range []bool{false, true} {
		var w watch
		c, hangs := hung()
		ctx, cancel := context.WithCancel(t.Context())
		w.begin(ctx, c)
		if long {
			waitFor(t, "the context is told", func() bool { return w.told(c) })
		}
		if !w.end(c) {
			t.Error("it is said that the connection was hung up")
		}
		if !w.end(c) {
			t.Error("to end it twice makes a difference")
		}
		// The same connection, with the next request.
		next, stop := context.WithCancel(t.Context())
		w.begin(next, c)
		cancel()
		waitFor(t, "the next context is told", func() bool { return w.told(c) })
		if n := hangs.Load(); n != 0 {
			t.Errorf("hung up %d times for the request before", n)
		}
		stop()
		waitFor(t, "it is hung up for its own", func() bool { return hangs.Load() == 1 })
		w.end(c)
		waitFor(t, "nothing is watched any more", w.idle)
	}
}

// Of many exchanges that end and are canceled at any moment, each is hung up on if and only
// if its end says so.
func TestExchangesOfACrowd(t *testing.T) {
	var w watch
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, hangs := hung()
			for round := range 5 {
				w.begin(ctx, c)
				time.Sleep(time.Duration((i*37+round*11)%160) * time.Millisecond)
				cancels := (i+round)%3 == 0
				if cancels {
					go cancel()
				}
				if w.end(c) {
					continue
				}
				if !cancels && ctx.Err() == nil {
					t.Error("hung up, and nobody has canceled it")
				}
				waitFor(t, "it is hung up as was said", func() bool { return hangs.Load() == 1 })
				return
			}
			if n := hangs.Load(); n != 0 {
				t.Errorf("hung up %d times, and nobody has said so", n)
			}
		})
	}
	group.Wait()
	waitFor(t, "nothing is watched any more", w.idle)
}

// What it costs to watch an exchange that is over soon, beside telling its context.
func BenchmarkWatch(b *testing.B) {
	server, stop := context.WithCancel(b.Context())
	defer stop()
	c, _ := hung()
	b.Run("watch", func(b *testing.B) {
		var w watch
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithCancel(server)
			w.begin(ctx, c)
			w.end(c)
			cancel()
		}
	})
	b.Run("AfterFunc", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithCancel(server)
			context.AfterFunc(ctx, c.hang)()
			cancel()
		}
	})
}
