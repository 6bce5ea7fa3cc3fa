package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What else may be where the file should be.
func TestAttackWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	s := open(t, Config{Output: path, OnFailure: "refuse"}, Parts{})
	must(t, s.Write(Record{Event: "one"}))

	t.Run("a pipe that nobody reads keeps nobody waiting", func(t *testing.T) {
		must(t, os.Rename(path, path+".1"))
		must(t, syscall.Mkfifo(path, 0o600))
		if err := s.Write(Record{Event: "two"}); err == nil || !strings.Contains(s.Trouble(), "a pipe that nobody reads") {
			t.Errorf("got %v, trouble %q", err, s.Trouble())
		}
		must(t, os.Remove(path))
		must(t, s.Write(Record{Event: "three"}))
	})
	t.Run("a pipe that is full keeps nobody waiting for long", func(t *testing.T) {
		pipe := filepath.Join(dir, "pipe")
		must(t, syscall.Mkfifo(pipe, 0o600))
		reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		must(t, err)
		defer func() { _ = reader.Close() }()
		s := open(t, Config{Output: pipe, OnFailure: "refuse"}, Parts{})
		long := strings.Repeat("x", 50_000)
		for range 100 {
			if err = s.Write(Record{Event: long}); err != nil {
				break
			}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a link of another user is not followed", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give a link away")
		}
		theirs := filepath.Join(dir, "theirs.jsonl")
		target := filepath.Join(dir, "passwd")
		must(t, os.WriteFile(target, []byte("root\n"), 0o600))
		must(t, os.Symlink(target, theirs))
		must(t, os.Lchown(theirs, 4711, 4711))
		if s, err := Open(Config{Output: theirs, OnFailure: "continue"}, Parts{}); err == nil || !strings.Contains(err.Error(), "symbolic link of another user") {
			t.Errorf("got %v, %v", s, err)
		}
		if text, _ := os.ReadFile(target); string(text) != "root\n" {
			t.Errorf("it has %q", text)
		}
	})
	t.Run("a link of one's own is followed, also to what is not there yet", func(t *testing.T) {
		ours, target := filepath.Join(dir, "ours.jsonl"), filepath.Join(dir, "elsewhere.jsonl")
		must(t, os.Symlink(target, ours))
		s := open(t, Config{Output: ours}, Parts{})
		must(t, s.Write(Record{Event: "one"}))
		if got := records(t, target); len(got) != 1 {
			t.Errorf("it has %v", got)
		}
	})
}

// A command that root runs first makes a file that the gateway can write to.
func TestAFileThatRootMakes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root")
	}
	dir := t.TempDir()
	must(t, os.Chown(dir, 4711, 4712))
	path := filepath.Join(dir, "audit.jsonl")
	must(t, open(t, Config{Output: path}, Parts{}).Write(Record{Event: "one"}))
	info, err := os.Stat(path)
	must(t, err)
	if owner, group := ownerOf(info); owner != 4711 || group != 4712 || info.Mode().Perm() != 0o600 {
		t.Errorf("it is of %d:%d, %v", owner, group, info.Mode())
	}
	// One that is there stays whose it is.
	must(t, os.Chown(path, 0, 0))
	open(t, Config{Output: path}, Parts{})
	info, err = os.Stat(path)
	must(t, err)
	if owner, _ := ownerOf(info); owner != 0 {
		t.Errorf("it is of %d", owner)
	}
}

// Whoever was killed in the middle of a line spoils no other.
func TestAFileThatEndsInTheMiddleOfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	must(t, os.WriteFile(path, []byte(`{"event":"wh`), 0o600))
	must(t, open(t, Config{Output: path}, Parts{}).Write(Record{Event: "one"}))
	text, err := os.ReadFile(path)
	must(t, err)
	if lines := bytes.Split(text, []byte("\n")); len(lines) != 3 || string(lines[0]) != `{"event":"wh` || !bytes.HasPrefix(lines[1], []byte(`{"stream":`)) {
		t.Errorf("it reads %q", text)
	}
}

// Who reads the audit learns that lines are missing, and how many.
func TestLinesThatAreMissing(t *testing.T) {
	for _, how := range []string{"continue", "refuse"} {
		out := new(torn)
		s := open(t, Config{Output: "stdout", OnFailure: how}, Parts{Stdout: out})
		must(t, s.Ready())
		out.broken = true
		for range 3 {
			_ = s.Write(Record{Event: "lost"})
		}
		if err := s.Ready(); (err != nil) != (how == "refuse") {
			t.Errorf("%s: ready %v", how, err)
		}
		if s.Failures() != 3 {
			t.Errorf("%s: %d lines are missing", how, s.Failures())
		}
		out.broken = false
		must(t, s.Ready())
		must(t, s.Write(Record{Event: "two"}))
		must(t, s.Write(Record{Event: "three"}))
		lines := strings.Split(out.String(), "\n")
		if n := len(lines); n < 4 || !strings.Contains(lines[n-4], `"event":"audit.lost"`) || !strings.Contains(lines[n-4], `"detail":{"lines":3}`) ||
			!strings.Contains(lines[n-3], `"two"`) || !strings.Contains(lines[n-2], `"three"`) || strings.Count(out.String(), "audit.lost\",\"outcome") != 1 {
			t.Errorf("%s: it reads %q", how, lines)
		}
	}
	var none *Stream
	must(t, none.Ready())
}
