package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t *testing.T, cfg Config, parts Parts) *Stream {
	t.Helper()
	if cfg.OnFailure == "" {
		cfg.OnFailure = "continue"
	}
	s, err := Open(cfg, parts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// records reads a file, of which each line must be whole.
func records(t *testing.T, path string) []Record {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []Record
	for line := range bytes.Lines(text) {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, r)
	}
	return all
}

func TestALine(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 11, 23, 10, 14, 3, 120_415_999, time.FixedZone("", 3600))
	s := open(t, Config{Output: "stdout"}, Parts{Stdout: &out, Now: func() time.Time { return now }})
	must(t, s.Write(Record{Event: "login", Outcome: Failure, ActorType: Client, Reason: "wrong_password", User: "a\"\n\x1b<b>", UserID: 7}))
	host, _ := os.Hostname()
	var r Record
	must(t, json.Unmarshal(out.Bytes(), &r))
	want := fmt.Sprintf(`{"stream":"audit","event_id":%q,"time":"2026-11-23T09:14:03.120415Z","event":"login","outcome":"failure","reason":"wrong_password",`+
		`"actor_type":"client","user_id":7,"user":"a\"\n\u001b\u003cb\u003e","host":%q}`+"\n", r.EventID, host)
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
}

func TestEventIDsSortByTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	s := open(t, Config{Output: path}, Parts{})
	for range 1000 {
		must(t, s.Write(Record{Event: "x"}))
	}
	var ids []string
	for _, r := range records(t, path) {
		ids = append(ids, r.EventID)
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 1000 {
		t.Error("they are not in order, or not unique")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Several programs write to one file, and each line is whole.
func TestSeveralWriteToOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	long := strings.Repeat("x", 20_000)
	var all sync.WaitGroup
	for i := range 4 {
		s := open(t, Config{Output: path}, Parts{})
		for range 2 {
			all.Go(func() {
				for range 100 {
					_ = s.Write(Record{Event: fmt.Sprint(i), Reason: long})
				}
			})
		}
	}
	all.Wait()
	if n := len(records(t, path)); n != 800 {
		t.Errorf("%d lines, want 800", n)
	}
}

// What rotates logs renames the file.
func TestAFileThatIsRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	s := open(t, Config{Output: path}, Parts{})
	write := func(name string) {
		t.Helper()
		must(t, s.Write(Record{Event: name}))
	}
	write("one")
	must(t, os.Rename(path, path+".1"))
	write("two")
	must(t, os.Remove(path))
	write("three")
	must(t, os.Rename(path, path+".2"))
	s.Reopen()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("there is no new file at once: %v", err)
	}
	write("four")
	for file, want := range map[string]string{path + ".1": "one", path + ".2": "three", path: "four"} {
		if got := records(t, file); len(got) != 1 || got[0].Event != want {
			t.Errorf("%s has %v, want %s", file, got, want)
		}
	}
}

// torn writes a part of each line until it is mended.
type torn struct {
	bytes.Buffer
	broken bool
}

func (w *torn) Write(p []byte) (int, error) {
	if w.broken {
		n, _ := w.Buffer.Write(p[:10])
		return n, errors.New("no space left on device")
	}
	return w.Buffer.Write(p)
}

func TestALineThatCannotBeWritten(t *testing.T) {
	for _, how := range []string{"continue", "refuse"} {
		t.Run(how, func(t *testing.T) {
			out := new(torn)
			var told []error
			s := open(t, Config{Output: "stdout", OnFailure: how}, Parts{Stdout: out, Failed: func(err error) { told = append(told, err) }})
			must(t, s.Write(Record{Event: "one"}))
			out.broken = true
			for range 3 {
				if err := s.Write(Record{Event: "lost"}); (err != nil) != (how == "refuse") {
					t.Errorf("got %v", err)
				}
			}
			if s.Trouble() != "no space left on device" || s.Failures() != 3 {
				t.Errorf("trouble %q, %d", s.Trouble(), s.Failures())
			}
			out.broken = false
			must(t, s.Write(Record{Event: "two"}))
			if s.Trouble() != "" || s.Failures() != 3 || len(told) != 2 || told[0] == nil || told[1] != nil {
				t.Errorf("trouble %q, %d, told %v", s.Trouble(), s.Failures(), told)
			}
			// A half line spoils no other.
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if first, last := lines[0], lines[len(lines)-1]; !strings.Contains(first, `"one"`) || !json.Valid([]byte(last)) || !strings.Contains(last, `"two"`) {
				t.Errorf("it reads %q", lines)
			}
		})
	}
}

// A full disk, as the kernel has it.
func TestAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	s := open(t, Config{Output: "/dev/full", OnFailure: "refuse"}, Parts{})
	if err := s.Write(Record{Event: "x"}); err == nil || s.Trouble() != "no space left on device" {
		t.Errorf("got %v, %q", err, s.Trouble())
	}
}

// The directory went away: the lines go on into the file that was renamed, and that is told.
func TestAFileThatCannotBeMadeAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "audit.jsonl")
	s := open(t, Config{Output: path}, Parts{})
	must(t, os.Rename(dir, dir+".old"))
	must(t, s.Write(Record{Event: "kept"}))
	if s.Trouble() == "" {
		t.Error("nobody was told")
	}
	if got := records(t, filepath.Join(dir+".old", "audit.jsonl")); len(got) != 1 {
		t.Errorf("it has %v", got)
	}
	must(t, os.Mkdir(dir, 0o700))
	must(t, s.Write(Record{Event: "new"}))
	if got := records(t, path); len(got) != 1 || s.Trouble() != "" {
		t.Errorf("it has %v, trouble %q", got, s.Trouble())
	}
}

func TestWhereTheAuditCannotGo(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Output: "sdtout", OnFailure: "continue"}, `the audit cannot go to "sdtout"; write none, stdout, or the path`},
		{Config{Output: dir + "/", OnFailure: "continue"}, `cannot go to`},
		{Config{Output: dir, OnFailure: "continue"}, `cannot be written to ` + dir + `: it is a directory`},
		{Config{Output: dir + "/none/audit.jsonl", OnFailure: "continue"}, `cannot be written to ` + dir + `/none/audit.jsonl: no such file or directory`},
		{Config{Output: "none", OnFailure: "explode"}, `"explode" is not known; write continue or refuse`},
	} {
		s, err := Open(c.cfg, Parts{})
		fault, ok := errors.AsType[*Fault](err)
		if s != nil || !ok || !strings.Contains(err.Error(), c.want) || fault.Field() == "" {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
	for _, output := range []string{"", "none"} {
		s, err := Open(Config{Output: output, OnFailure: "continue"}, Parts{})
		if s != nil || err != nil || s.Write(Record{}) != nil || s.Trouble() != "" || s.Failures() != 0 || s.Close() != nil {
			t.Errorf("%q: %v, %v", output, s, err)
		}
		s.Reopen()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
