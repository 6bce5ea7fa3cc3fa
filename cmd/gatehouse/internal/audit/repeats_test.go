package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// told counts what lines tell of: those of their own, and those that were summed up.
func told(t *testing.T, lines []Record) (n int) {
	t.Helper()
	for _, r := range lines {
		repeats, summed := r.Detail[detailRepeats].(float64)
		if !summed {
			n++
			continue
		}
		n += int(repeats)
		if r.RequestID != "" || r.EventID == "" || fmt.Sprint(r.Detail[detailFirst]) > fmt.Sprint(r.Detail[detailLast]) {
			t.Errorf("a sum is %+v", r)
		}
	}
	return n
}

func refusal(user string) Record {
	return Record{Event: "login", Outcome: Failure, Reason: "throttled", ActorType: Client, User: user, Address: "192.0.2.1", RequestID: "r", Detail: map[string]any{"budget": "account"}}
}

func TestRepeatsAreSummedUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	s := open(t, Config{Output: path}, Parts{Now: func() time.Time { return now }})
	write := func(r Record, like Repeat) {
		t.Helper()
		must(t, s.WriteRepeated(r, like))
		now = now.Add(time.Second)
	}
	lines := func(want ...string) {
		t.Helper()
		var got []string
		for _, r := range records(t, path) {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %d %v", r.Time[11:19], r.Event, r.User, r.Address, r.UserID, r.Detail)))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	account := Repeat{Kind: "login throttled", Of: "7"}
	for range 4 {
		write(refusal("alice"), account)
	}
	first := "09:00:00 login alice 192.0.2.1 0 map[budget:account]"
	lines(first)
	// Another account, and another kind, have a line of their own.
	write(refusal("bob"), Repeat{Kind: "login throttled", Of: "8"})
	write(Record{Event: "x", Address: "2001:db8::1"}, Repeat{Kind: "x", Of: "2001:db8::/64", Each: 2, Network: "2001:db8::/64"})
	bob, x := "09:00:04 login bob 192.0.2.1 0 map[budget:account]", "09:00:05 x  2001:db8::1 0 map[]"
	lines(first, bob, x)
	for i := range 4 {
		write(Record{Event: "x", UserID: int64(i), Address: fmt.Sprintf("2001:db8::%d", i)}, Repeat{Kind: "x", Of: "2001:db8::/64", Each: 2, Network: "2001:db8::/64"})
	}
	again := "09:00:06 x  2001:db8::0 0 map[]"
	lines(first, bob, x, again)
	// When the minute is over.
	now = time.Date(2026, 11, 23, 9, 1, 0, 0, time.UTC)
	write(refusal("alice"), account)
	sum := "09:01:00 login alice 192.0.2.1 0 map[budget:account first:2026-11-23T09:00:01.000000Z last:2026-11-23T09:00:03.000000Z repeats:3]"
	lines(first, bob, x, again, sum, "09:01:00 login alice 192.0.2.1 0 map[budget:account]")
	// What is not all the same is left out.
	now = now.Add(30 * time.Second)
	s.TellRepeats()
	lines(first, bob, x, again, sum, "09:01:00 login alice 192.0.2.1 0 map[budget:account]",
		"09:01:31 x  2001:db8::/64 0 map[first:2026-11-23T09:00:07.000000Z last:2026-11-23T09:00:09.000000Z repeats:3]")
	s.TellRepeats()
	if n := len(records(t, path)); n != 7 || told(t, records(t, path)) != 11 {
		t.Errorf("%d lines tell of %d, want 7 of 11", n, told(t, records(t, path)))
	}
}

// However many clients repeat however many kinds at once, each refusal is told once, and there
// are no more lines than a minute may have.
func TestAttackAFloodOfRefusals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	s := open(t, Config{Output: path}, Parts{})
	const clients, each = 8, 20_000
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range each {
				r, of := refusal(fmt.Sprint("user", i)), "" // half of them: another network each time
				if i%2 == 0 {
					of = fmt.Sprint(c, i)
				}
				if err := s.WriteRepeated(r, Repeat{Kind: fmt.Sprint("kind", i%3), Of: of}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s.repeats.mu.Lock()
	held := len(s.repeats.sums)
	s.repeats.mu.Unlock()
	must(t, s.Close())
	lines := records(t, path)
	if n := told(t, lines); n != clients*each {
		t.Errorf("%d are told of, want %d", n, clients*each)
	}
	// A slow machine may take more than a minute.
	if held > maxRepeats+3 || len(lines) > 20*(maxRepeats+3) {
		t.Errorf("%d lines, %d sums held, want %d", len(lines), held, maxRepeats+3)
	}
	t.Logf("%d refusals in %d lines", clients*each, len(lines))
}

// Nobody need come for the sum to be told.
func TestASumIsToldWhenItsMinuteIsOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	s := open(t, Config{Output: path}, Parts{})
	s.repeats.every = 50 * time.Millisecond
	like := Repeat{Kind: "login"}
	for range 3 {
		for range 100 {
			must(t, s.WriteRepeated(refusal("alice"), like))
		}
		for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			s.repeats.mu.Lock()
			left := len(s.repeats.sums)
			s.repeats.mu.Unlock()
			if left == 0 {
				break
			}
			if time.Since(begin) > time.Minute {
				t.Fatal("nothing is told")
			}
		}
	}
	if n := told(t, records(t, path)); n != 300 {
		t.Errorf("%d are told of, want 300", n)
	}
}

// What cannot be written is counted on until it can, and no refusal is answered otherwise for it.
func TestSumsOfAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	for _, how := range []string{"continue", "refuse"} {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			var now atomic.Int64
			s := open(t, Config{Output: path, OnFailure: how}, Parts{Now: func() time.Time { return time.Unix(0, now.Load()) }})
			like := Repeat{Kind: "login"}
			for range 10 {
				must(t, s.WriteRepeated(refusal("alice"), like))
			}
			kept := records(t, path)
			must(t, os.Rename(path, path+".kept"))
			must(t, os.Symlink("/dev/full", path))
			now.Add(int64(2 * time.Minute))
			s.TellRepeats()
			if s.Trouble() == "" || s.Failures() == 0 {
				t.Error("nobody is told that a line could not be written")
			}
			for range 10 {
				must(t, s.WriteRepeated(refusal("alice"), like)) // it is counted
			}
			// One that has not been seen needs a line, which is lost, or must not be.
			if err := s.WriteRepeated(refusal("bob"), Repeat{Kind: "login", Of: "bob"}); (err != nil) != (how == "refuse") {
				t.Errorf("another one: %v", err)
			}
			must(t, os.Remove(path))
			must(t, s.WriteRepeated(refusal("bob"), Repeat{Kind: "login", Of: "bob"}))
			must(t, s.Close())
			after := records(t, path)
			if after[0].Event != EventLost || fmt.Sprint(after[0].Detail["lines"]) != "1" {
				t.Errorf("the first line is %+v", after[0])
			}
			if n := told(t, append(kept, after[1:]...)); n != 20+1 {
				t.Errorf("%d are told of, want 21", n)
			}
		})
	}
}
