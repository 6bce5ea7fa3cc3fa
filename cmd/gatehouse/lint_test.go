package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/gatehouse/internal/config"
)

// A secret is readable by everybody if its mode and all directories above say so. A
// link is as readable as what it leads to.
func TestWhoMayReadASecret(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for above := filepath.Dir(dir); above != "/"; above = filepath.Dir(above) {
		if info, err := os.Stat(above); err != nil || info.Mode().Perm()&0o001 == 0 {
			t.Skipf("others cannot come to %s, where tests keep their files: set TMPDIR", above)
		}
	}
	secret := filepath.Join(dir, "secret")
	writeFile(t, secret, "x")
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		file, above os.FileMode
		want        bool
	}{
		{0o600, 0o755, false},
		{0o640, 0o755, false},
		{0o644, 0o755, true},
		{0o444, 0o711, true},
		{0o644, 0o700, false},
		{0o644, 0o750, false},
	} {
		if err := os.Chmod(secret, test.file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, test.above); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"secret", "link"} {
			if _, got := worldReadable(filepath.Join(dir, name)); got != test.want {
				t.Errorf("%s with mode %#o in a directory with mode %#o: %v, want %v", name, test.file, test.above, got, test.want)
			}
		}
	}
	if _, got := worldReadable(filepath.Join(dir, "missing")); got {
		t.Error("a file that is not there is readable")
	}
}

// Each file that holds a secret is looked at, and none that everybody may read.
func TestSecretFilesThatEverybodyReads(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, file, `store: { dsn: gatehouse.db }
tokens:
  keys:
    - { kid: main, alg: HS256, secret_file: jwt }
bootstrap: { user: admin, password_file: first }
upstreams: { app: { url: "http://127.0.0.1:1" } }
routes: [{ to: app }]
`)
	writeFile(t, filepath.Join(dir, "jwt"), "an-example-signing-key-of-32-bytes!!\n")
	writeFile(t, filepath.Join(dir, "first"), "correct horse\n")
	writeFile(t, filepath.Join(dir, "gatehouse.db"), "")
	for _, name := range []string{"jwt", "first", "gatehouse.db"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, readable := worldReadable(filepath.Join(dir, "jwt")); !readable {
		t.Skip("others cannot come to where tests keep their files")
	}
	loaded, err := config.Load(config.Input{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	g, err := compile(loaded)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	if err := lint(t.Context(), loaded, g, nil); err != nil {
		t.Error(err)
	}
	text := loaded.Warnings.Error()
	for _, want := range []string{":1: store.dsn: everybody", ":4: tokens.keys[0].secret_file: everybody", ":5: bootstrap.password_file: everybody"} {
		if !strings.Contains(text, want) {
			t.Errorf("no warning %s in\n%s", want, text)
		}
	}
	if len(loaded.Warnings) != 3 {
		t.Errorf("%d warnings, want 3:\n%s", len(loaded.Warnings), text)
	}
}

// There is nothing to warn of in the example that everybody begins with.
func TestTheExampleIsWellMeant(t *testing.T) {
	text, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, file, strings.ReplaceAll(string(text), "/var/lib/gatehouse/", dir+"/"))
	for _, name := range []string{"jwt.key", "old.key"} {
		writeFile(t, filepath.Join(dir, name), name+" has a signing key of 32 bytes and more\n")
	}
	loaded, err := config.Load(config.Input{Path: file, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	g, err := compile(loaded)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	if err := lint(t.Context(), loaded, g, nil); err != nil || len(loaded.Warnings) > 0 {
		t.Error(err, loaded.Warnings)
	}
}
