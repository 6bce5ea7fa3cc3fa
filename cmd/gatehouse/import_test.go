package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPathOfAnSQLiteURL(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	writeFile(t, filepath.Join(dir, "here.sqlite3"), "")
	for rest, want := range map[string]string{
		"/" + dir + "/db.sqlite3": dir + "/db.sqlite3", // four slashes
		dir + "/db.sqlite3":       dir + "/db.sqlite3",
		"/here.sqlite3":           "here.sqlite3", // as in the settings of Django sites
		"/missing.sqlite3":        "/missing.sqlite3",
		"here.sqlite3":            "here.sqlite3",
		"/":                       "/",
	} {
		if got, err := sqlitePath(rest); got != want || err != nil {
			t.Errorf("sqlite://%s: %q, %v; want %q", rest, got, err, want)
		}
	}
	// The path that is meant cannot be guessed when both exist.
	below := filepath.Join(dir, strings.TrimPrefix(dir, "/"))
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(below, "here.sqlite3"), "")
	if got, err := sqlitePath(dir + "/here.sqlite3"); err == nil || !strings.Contains(err.Error(), "both exist") {
		t.Errorf("ambiguous: %q, %v", got, err)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 10000: "10,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestProgressIsDrawnAndCleared(t *testing.T) {
	var out bytes.Buffer
	b := &progress{out: &out}
	b.show("reading", 1500, 0)
	b.next = time.Time{}
	b.show("writing", 5000, 10000)
	b.show("writing", 6000, 10000) // too soon
	b.clear()
	want := "\r\x1b[Kreading: 1,500 rows\r\x1b[Kwriting: [###############...............] 5,000 of 10,000 users\r\x1b[K"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if newProgress(&out).out != nil {
		t.Error("a file is taken for a terminal")
	}
}

// What was there before stays when the new file cannot be finished.
func TestReplaceFileIsWholeOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	writeFile(t, path, "before")
	fault := errors.New("no room")
	err := replaceFile(path, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return fault
	})
	text, readErr := os.ReadFile(path)
	if !errors.Is(err, fault) || readErr != nil || string(text) != "before" {
		t.Errorf("error %v; the file has %q, %v", err, text, readErr)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// An interrupt in the middle writes nothing.
func TestInterruptedImportWritesNothing(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, config, "store: { dsn: "+filepath.Join(dir, "gatehouse.db")+" }\n")
	dump := `[{"model": "auth.user", "pk": 1, "fields": {"username": "ada", "password": "!"}}]`
	without := []string{"email", "first_name", "last_name", "is_active", "is_staff", "is_superuser", "date_joined", "last_login", "groups"}
	args := []string{"import", "django", "--config", config, "--from", "-"}
	for _, name := range without {
		args = append(args, "--column", name+"=")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out, faults bytes.Buffer
	// The dump ends with the interrupt.
	in := &interruptingReader{text: strings.NewReader(dump), interrupt: cancel}
	if code := run(ctx, args, in, &out, &faults); code != exitNotSo {
		t.Errorf("exit code %d\n%s%s", code, &out, &faults)
	}
	out.Reset()
	if code := run(t.Context(), []string{"user", "list", "--json", "--config", config}, nil, &out, &faults); code != exitDone || out.String() != "[]\n" {
		t.Errorf("exit code %d, users %s\n%s", code, &out, &faults)
	}
	if code := run(t.Context(), args, strings.NewReader(dump), &out, &faults); code != exitDone {
		t.Errorf("uninterrupted: exit code %d\n%s", code, &faults)
	}
}

type interruptingReader struct {
	text      *strings.Reader
	interrupt func()
}

func (r *interruptingReader) Read(p []byte) (int, error) {
	n, err := r.text.Read(p)
	if err != nil {
		r.interrupt()
	}
	return n, err
}
