package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// beWorker is the argument with which the test program is the other process.
const beWorker = "be-the-worker"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == beWorker {
		os.Exit(serveTests(os.Args[2])) //nolint:forbidigo // this is a main
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is a main
}

// serveTests is what the other process does in tests: it says what it was asked, or what
// the request wants it to do.
func serveTests(how string) int {
	switch how {
	case "mute":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "stranger":
		_, _ = os.Stdout.WriteString("usage: cat [FILE]\n" + strings.Repeat("x", headSize))
		return 1
	case "dies":
		_, _ = os.Stderr.WriteString("no room for me\n")
		return 3
	case "garbles":
		_, _ = os.Stdout.Write(appendFrame(nil, 0, []byte(greeting)))
		for {
			number, message, err := readFrame(os.Stdin)
			if err != nil {
				return 1
			}
			frame := appendFrame(nil, number, message)
			frame[len(frame)-1] ^= 1
			_, _ = os.Stdout.Write(frame)
		}
	case "confuses":
		_, _ = os.Stdout.Write(appendFrame(nil, 0, []byte(greeting)))
		for {
			number, message, err := readFrame(os.Stdin)
			if err != nil {
				return 1
			}
			_, _ = os.Stdout.Write(appendFrame(nil, number+1, message))
		}
	}
	err := Serve(os.Stdin, os.Stdout, 4, func(request []byte) []byte {
		switch text := string(request); {
		case text == "die":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case strings.HasPrefix(text, "die unless "):
			// Once: the second time there is a file.
			name := strings.TrimPrefix(text, "die unless ")
			if f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				_ = f.Close()
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		case text == "panic":
			panic("a secret")
		case text == "wait":
			time.Sleep(300 * time.Millisecond)
		}
		return append([]byte("said: "), request...)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newWorker(t *testing.T, how string, change ...func(*Config)) (*Worker, *logs) {
	t.Helper()
	if !Supported {
		t.Skip("there is no such process on this system")
	}
	l := &logs{}
	// A test program that counts coverage complains where it cannot say so.
	env := []string{"GOMAXPROCS=2", "GOCOVERDIR=" + t.TempDir()}
	cfg := Config{Args: []string{"worker-test", beWorker, how}, Env: env, Logger: slog.New(slog.NewTextHandler(l, nil))}
	for _, c := range change {
		c(&cfg)
	}
	w := New(cfg)
	t.Cleanup(w.Close)
	return w, l
}

// until waits for what comes by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAnswersAreThoseOfTheRequests(t *testing.T) {
	w, _ := newWorker(t, "well")
	var group sync.WaitGroup
	var done atomic.Int32
	places := make(chan struct{}, 4)
	for i := range 200 {
		group.Go(func() {
			places <- struct{}{}
			request := fmt.Sprintf("request %d %s", i, strings.Repeat("x", i*100))
			answer, err := w.Call(t.Context(), []byte(request), func() { done.Add(1); <-places })
			if err != nil || string(answer) != "said: "+request {
				t.Errorf("%.20q was answered %.20q, error %v", request, answer, err)
			}
		})
	}
	group.Wait()
	if done.Load() != 200 {
		t.Errorf("%d of 200 are done", done.Load())
	}
	if u := w.Usage(); u.Starts != 1 || u.Deaths != 0 || u.PID == 0 || u.Resident < 1<<20 {
		t.Errorf("usage is %+v", u)
	}
}

func TestEveryThreadHasTheLowerPriority(t *testing.T) {
	w, _ := newWorker(t, "well")
	mine, err := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	want := min(20-mine+Lower, 19)
	for range 8 { // with some threads more
		if _, err := w.Call(t.Context(), []byte("wait"), func() {}); err != nil {
			t.Fatal(err)
		}
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", w.Usage().PID))
	if err != nil || len(threads) < 3 {
		t.Fatalf("threads %v, error %v", threads, err)
	}
	for _, thread := range threads {
		var tid int
		_, _ = fmt.Sscan(filepath.Base(thread), &tid)
		if raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, tid); err != nil || 20-raw != want {
			t.Errorf("thread %d has nice %d, error %v; want %d", tid, 20-raw, err, want)
		}
	}
	// And none of ours: a thread that was lowered once cannot be raised.
	ours, _ := filepath.Glob("/proc/self/task/*")
	for _, thread := range ours {
		var tid int
		_, _ = fmt.Sscan(filepath.Base(thread), &tid)
		if raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, tid); err == nil && raw != mine {
			until(t, "the thread that started it has ended", func() bool {
				_, err := syscall.Getpriority(syscall.PRIO_PROCESS, tid)
				return err != nil
			})
		}
	}
}

func TestItEndsWhenNobodyAsks(t *testing.T) {
	w, l := newWorker(t, "well", func(c *Config) { c.Idle = 50 * time.Millisecond })
	for range 3 {
		if _, err := w.Call(t.Context(), []byte("x"), func() {}); err != nil {
			t.Fatal(err)
		}
		pid := w.Usage().PID
		until(t, "it ends", func() bool { return w.Usage().PID == 0 })
		if pid != 0 {
			until(t, "it is reaped", func() bool { return !alive(pid) })
		}
	}
	if u := w.Usage(); u.Starts < 3 || u.Deaths != 0 {
		t.Errorf("usage is %+v", u)
	}
	if text := l.String(); strings.Contains(text, "WARN") {
		t.Errorf("the log has %s", text)
	}
}

func TestItIsNotEndedUnderARequest(t *testing.T) {
	w, _ := newWorker(t, "well", func(c *Config) { c.Idle = time.Millisecond })
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for range 20 {
				if answer, err := w.Call(t.Context(), []byte("y"), func() {}); err != nil || string(answer) != "said: y" {
					t.Errorf("got %q, error %v", answer, err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	group.Wait()
	if u := w.Usage(); u.Deaths != 0 {
		t.Errorf("usage is %+v", u)
	}
}

func TestARequestIsAskedOnceMore(t *testing.T) {
	w, l := newWorker(t, "well")
	request := "die unless " + filepath.Join(t.TempDir(), "again")
	done := 0
	answer, err := w.Call(t.Context(), []byte(request), func() { done++ })
	if err != nil || string(answer) != "said: "+request || done != 1 {
		t.Errorf("got %q, error %v, done %d times", answer, err, done)
	}
	if u := w.Usage(); u.Starts != 2 || u.Deaths != 1 {
		t.Errorf("usage is %+v", u)
	}
	until(t, "it is in the log", func() bool { return strings.Contains(l.String(), "signal: killed") })
}

func TestWhatKillsItTwiceIsLost(t *testing.T) {
	w, _ := newWorker(t, "well")
	began, done := time.Now(), 0
	if answer, err := w.Call(t.Context(), []byte("die"), func() { done++ }); !errors.Is(err, ErrLost) || answer != nil || done != 1 {
		t.Errorf("got %q, error %v, done %d times", answer, err, done)
	}
	// The next waits for nothing, and after a moment, which is a second, there is another process.
	if _, err := w.Call(t.Context(), []byte("x"), func() {}); !errors.Is(err, ErrLost) && (err != nil || time.Since(began) < time.Second) {
		t.Errorf("at once: %v", err)
	}
	until(t, "another process", func() bool {
		answer, err := w.Call(t.Context(), []byte("x"), func() {})
		return err == nil && string(answer) == "said: x"
	})
}

func TestAPanicIsNoAnswerAndNoDeath(t *testing.T) {
	w, l := newWorker(t, "well")
	answer, err := w.Call(t.Context(), []byte("panic"), func() {})
	if err != nil || len(answer) != 0 {
		t.Errorf("got %q, error %v", answer, err)
	}
	if u := w.Usage(); u.Deaths != 0 || strings.Contains(l.String(), "secret") {
		t.Errorf("usage is %+v, the log %s", u, l)
	}
}

func TestWhatIsGarbledIsNoAnswer(t *testing.T) {
	for _, how := range []string{"garbles", "confuses"} {
		t.Run(how, func(t *testing.T) {
			w, l := newWorker(t, how)
			done := 0
			if answer, err := w.Call(t.Context(), []byte("x"), func() { done++ }); !errors.Is(err, ErrLost) || answer != nil || done != 1 {
				t.Errorf("got %q, error %v, done %d times", answer, err, done)
			}
			until(t, "it is in the log", func() bool { return strings.Contains(l.String(), "garbled") })
		})
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	for _, test := range []struct {
		name, how, want string
		change          func(*Config)
	}{
		{"no such file", "well", "no such file", func(c *Config) { c.Program = "/nonexistent/gatehouse" }},
		{"it dies", "dies", "it ended at once", nil},
		{"another program", "stranger", "garbled", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, l := newWorker(t, test.how, func(c *Config) {
				if test.change != nil {
					test.change(c)
				}
			})
			for range 3 {
				_, err := w.Call(t.Context(), []byte("x"), func() { t.Error("it is not done") })
				if !errors.Is(err, ErrCannotStart) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v", err)
				}
			}
			if n := strings.Count(l.String(), "cannot be started"); n != 1 {
				t.Errorf("it is told %d times: %s", n, l)
			}
		})
	}
}

func TestWhoGoesAwayDoesNotWait(t *testing.T) {
	w, _ := newWorker(t, "well")
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := w.Usage().PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// One thread is told, and tells the others when it has its turn.
	until(t, "all of it has stopped", func() bool { return stopped(pid) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	done := make(chan struct{})
	if _, err := w.Call(ctx, []byte("x"), func() { close(done) }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	select {
	case <-done:
		t.Error("it is said to be done while it is not")
	default:
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-done
}

// stopped tells whether every thread of a process has stopped. The state is behind the name, which is in parentheses.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err == nil && !bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" T")) {
			return false
		}
	}
	return len(threads) > 0
}

func TestCloseLeavesNobody(t *testing.T) {
	w, _ := newWorker(t, "well")
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := w.Usage().PID
	w.Close()
	if alive(pid) {
		t.Error("it is still there")
	}
	if _, err := w.Call(t.Context(), []byte("x"), func() {}); !errors.Is(err, ErrLost) {
		t.Errorf("error %v", err)
	}
	w.Close()
}

func TestStartingThreadIsNeverTheFirst(t *testing.T) {
	if !Supported {
		t.Skip("there is no such process on this system")
	}
	runtime.LockOSThread() // the test may run on the first thread: then another starts it
	defer runtime.UnlockOSThread()
	w, _ := newWorker(t, "well")
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid())
	if mine, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err != nil || raw != mine {
		t.Errorf("the process has nice %d, error %v; this thread %d", 20-raw, err, 20-mine)
	}
}

func TestServeRefuses(t *testing.T) {
	for _, test := range []struct {
		name, want string
		in         []byte
	}{
		{"what is not there", "", nil},
		{"half a head", "in its head", []byte("abc")},
		{"a message that is too long", "bytes", append([]byte("numberxx"), 0xff, 0, 0, 0, 0, 0, 0, 0)},
		{"half a message", "before its message", appendFrame(nil, 1, []byte("message"))[:headSize+3]},
		{"another checksum", "checksum", func() []byte { f := appendFrame(nil, 1, []byte("message")); f[13] ^= 4; return f }()},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			err := Serve(bytes.NewReader(test.in), &out, 1, func([]byte) []byte { t.Error("it is computed"); return nil })
			switch {
			case test.want == "" && err != nil, test.want != "" && (!errors.Is(err, errGarbled) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestServeRefusesMoreThanWasSaid(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	in := appendFrame(appendFrame(nil, 1, []byte("a")), 2, []byte("b"))
	err := Serve(io.MultiReader(bytes.NewReader(in), waiting{hold}), io.Discard, 1, func([]byte) []byte { <-hold; return nil })
	if err == nil || !strings.Contains(err.Error(), "at once") {
		t.Errorf("error %v", err)
	}
}

type waiting struct{ hold chan struct{} }

func (w waiting) Read([]byte) (int, error) { <-w.hold; return 0, io.EOF }

// FuzzFrame: what is read is what was written, and nothing else is read.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{}, uint64(0), []byte("message"))
	f.Add(appendFrame(nil, 7, []byte("message")), uint64(7), []byte{})
	f.Add([]byte("numberxx\xff\xff\xff\xff\x00\x00\x00\x00"), uint64(1), []byte{0})
	f.Fuzz(func(t *testing.T, raw []byte, number uint64, message []byte) {
		if len(message) <= MaxMessage {
			got, text, err := readFrame(bytes.NewReader(appendFrame(nil, number, message)))
			if err != nil || got != number || !bytes.Equal(text, message) {
				t.Fatalf("%d %q was read as %d %q, error %v", number, message, got, text, err)
			}
		}
		r := bytes.NewReader(raw)
		got, text, err := readFrame(r)
		if err == nil && !bytes.Equal(appendFrame(nil, got, text), raw[:len(raw)-r.Len()]) {
			t.Fatalf("%q was read as %d %q", raw, got, text)
		}
	})
}
