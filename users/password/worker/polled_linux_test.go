package worker

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A process with one place to compute would have it taken by the thread that waits for the next
// request, for milliseconds after each. So the pipe is among what the runtime's poller looks at.
func TestNoThreadWaitsForRequests(t *testing.T) {
	w, _ := newWorker(t, "well")
	if _, err := w.Call(t.Context(), []byte("x"), func() {}); err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d/", w.Usage().PID)
	pipe, err := os.Readlink(dir + "fd/0")
	if err != nil {
		t.Skip("it is not to be seen: ", err)
	}
	var all []string
	descriptors, _ := filepath.Glob(dir + "fdinfo/*")
	for _, info := range descriptors {
		text, _ := os.ReadFile(info)
		for _, line := range strings.Split(string(text), "\n") {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "tfd:" {
				continue
			}
			polled, _ := os.Readlink(dir + "fd/" + words[1])
			if all = append(all, polled); polled == pipe {
				return
			}
		}
	}
	t.Errorf("requests come over %s, and the poller looks at %q", pipe, all)
}

func TestOnlyPipesAreChanged(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, in := range []io.Reader{strings.NewReader(""), file, (*os.File)(nil)} {
		out, release := polled(in)
		if release(); out != in {
			t.Errorf("%T was changed", in)
		}
	}
}

// The pipe as it was given goes on to be there, and what was changed ends with its release.
func TestAPipeIsReadToItsEnd(t *testing.T) {
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil {
		t.Fatal(err)
	}
	in, to := os.NewFile(uintptr(ends[0]), "in"), os.NewFile(uintptr(ends[1]), "to")
	defer func() { _ = in.Close() }()
	out, release := polled(in)
	if out == io.Reader(in) {
		t.Fatal("it is the same")
	}
	go func() {
		_, _ = to.WriteString("all of it")
		_ = to.Close()
	}()
	if text, err := io.ReadAll(out); err != nil || string(text) != "all of it" {
		t.Errorf("read %q, error %v", text, err)
	}
	release()
	if _, err := out.Read(make([]byte, 1)); err == nil {
		t.Error("it is not closed")
	}
	if _, err := in.Stat(); err != nil {
		t.Error(err)
	}
}
