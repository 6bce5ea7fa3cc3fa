package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// add makes a key in a directory, and returns its ID.
func add(t *testing.T, d *Directory, now time.Time) string {
	t.Helper()
	m, err := Make("EdDSA", now)
	if err != nil {
		t.Fatal(err)
	}
	change(t, d, now, func(b *Book) ([]*Made, error) { b.Add(m, now); return []*Made{m}, nil })
	return m.ID
}

func change(t *testing.T, d *Directory, now time.Time, f func(*Book) ([]*Made, error)) {
	t.Helper()
	if err := d.Change(now, f); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, d *Directory) Book {
	t.Helper()
	b, err := d.Read()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTheLifeOfAKey walks one rotation through its moments.
func TestTheLifeOfAKey(t *testing.T) {
	d := NewDirectory(filepath.Join(t.TempDir(), "keys"))
	one := add(t, d, noon)
	two := add(t, d, noon.Add(time.Hour))
	var turn Turn
	rotated := noon.Add(time.Hour + time.Minute)
	change(t, d, rotated, func(b *Book) (_ []*Made, err error) {
		turn, err = b.Rotate(false, 24*time.Hour, rotated)
		return nil, err
	})
	from := noon.Add(time.Hour + Announce)
	if !turn.Next.SignsFrom.Equal(from) || !turn.Previous.Until.Equal(from.Add(24*time.Hour)) {
		t.Errorf("got %+v", turn)
	}
	b := read(t, d)
	for _, c := range []struct {
		name     string
		at       time.Time
		one, two State
	}{
		{"before the second is made", noon, StateSigning, StateNext},
		{"when it is published", rotated, StateSigning, StateNext},
		{"just before it signs", from.Add(-time.Nanosecond), StateSigning, StateNext},
		{"when it signs", from, StateVerifying, StateSigning},
		{"just before the last token of the first has expired", from.Add(24*time.Hour - time.Nanosecond), StateVerifying, StateSigning},
		{"then", from.Add(24 * time.Hour), StateRetired, StateSigning},
	} {
		for i, want := range []State{c.one, c.two} {
			if got := b.Keys[i].State(b, c.at); got != want {
				t.Errorf("%s, key %d is %s, want %s", c.name, i+1, got, want)
			}
		}
		loaded, err := d.Load(b, c.at, nil)
		if err != nil {
			t.Fatal(err)
		}
		signing, _ := b.Signing(c.at)
		set, err := new(Set).With(loaded, signing.ID)
		if err != nil {
			t.Fatal(err)
		}
		jwks := string(set.JWKS(c.at))
		for i, id := range []string{one, two} {
			if got, want := strings.Contains(jwks, id), []State{c.one, c.two}[i] != StateRetired; got != want {
				t.Errorf("%s, key %d is published: %v", c.name, i+1, got)
			}
		}
	}
	// The next change takes the file of the key that has ended.
	change(t, d, from.Add(25*time.Hour), func(*Book) ([]*Made, error) { return nil, nil })
	if _, err := os.Stat(d.file(one)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a retired key: %v", err)
	}
	if _, err := os.Stat(d.file(two)); err != nil {
		t.Error(err)
	}
}

func TestUnsafeChangesOfKeys(t *testing.T) {
	d := NewDirectory(t.TempDir())
	add(t, d, noon)
	b := read(t, d)
	unsafe := func(name string, err error, want string) {
		t.Helper()
		var u *Unsafe
		if !errors.As(err, &u) || !strings.Contains(u.Problem, want) || u.Hint == "" {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	_, err := b.Rotate(false, time.Hour, noon)
	unsafe("to rotate without a next key", err, "no next key")
	unsafe("to retire the key that signs", b.Retire(0, false, noon), "signs, and whoever has a token of it")
	unsafe("to retire the only one, by force", b.Retire(0, true, noon), "there is no next key")

	add(t, d, noon)
	b = read(t, d)
	if _, err := b.Rotate(false, time.Hour, noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err = b.Rotate(false, time.Hour, noon.Add(2*time.Minute))
	unsafe("to rotate what is rotating", err, "is to sign from 2026-11-23T12:06:00Z already")
	if turn, err := b.Rotate(true, time.Hour, noon.Add(2*time.Minute)); err != nil || !turn.Next.SignsFrom.Equal(noon.Add(2*time.Minute)) || !turn.Previous.Until.Equal(noon.Add(62*time.Minute)) {
		t.Errorf("to hurry: %+v, %v", turn, err)
	}
	later := noon.Add(3 * time.Minute)
	unsafe("to retire one whose tokens are good", b.Retire(0, false, later), "expires at 2026-11-23T13:02:00Z")
	if err := b.Retire(0, true, later); err != nil || b.Keys[0].State(b, later) != StateRetired {
		t.Errorf("by force: %v", err)
	}
	if err := b.Retire(0, true, later); err == nil {
		t.Error("to retire it again")
	}

	// One that signs, by force: the next one does at once.
	d = NewDirectory(t.TempDir())
	add(t, d, noon)
	two := add(t, d, noon)
	b = read(t, d)
	if err := b.Retire(0, true, noon); err != nil {
		t.Fatal(err)
	}
	if signing, ok := b.Signing(noon); !ok || signing.ID != two {
		t.Errorf("%+v signs", signing)
	}

	// One that was to sign and does not: the current one goes on, without an end.
	d = NewDirectory(t.TempDir())
	one := add(t, d, noon)
	add(t, d, noon)
	b = read(t, d)
	if _, err := b.Rotate(false, time.Hour, noon); err != nil {
		t.Fatal(err)
	}
	if err := b.Retire(1, false, noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if signing, ok := b.Signing(noon.AddDate(1, 0, 0)); !ok || signing.ID != one {
		t.Errorf("%+v signs", signing)
	}
}

func TestAKeyDirectoryThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, d *Directory, id string)
		want  string
	}{
		{"others may read a key", func(t *testing.T, d *Directory, id string) { chmod(t, d.file(id), 0o604) }, "run chmod 0600"},
		{"the group may write a key", func(t *testing.T, d *Directory, id string) { chmod(t, d.file(id), 0o620) }, "run chmod 0600"},
		{"others may read the metadata", func(t *testing.T, d *Directory, _ string) { chmod(t, filepath.Join(d.path, metaFile), 0o644) }, "run chmod 0600"},
		{"others may put files in place of ours", func(t *testing.T, d *Directory, _ string) { chmod(t, d.path, 0o777) }, "run chmod 0700"},
		{"a key is gone", func(t *testing.T, d *Directory, id string) { remove(t, d.file(id)) }, ".pem is gone"},
		{"a key is a directory", func(t *testing.T, d *Directory, id string) {
			remove(t, d.file(id))
			if err := os.Mkdir(d.file(id), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is no file"},
		{"a key is another", func(t *testing.T, d *Directory, id string) {
			m, _ := Make("EdDSA", noon)
			write(t, d.file(id), string(m.pem))
		}, "holds another key"},
		{"a key is of another kind", func(t *testing.T, d *Directory, id string) {
			m, _ := Make("ES256", noon)
			write(t, d.file(id), string(m.pem))
		}, "an EC key on P-256"},
		{"a key is half", func(t *testing.T, d *Directory, id string) { write(t, d.file(id), "-----BEGIN PRIVATE KEY-----\n") }, "damaged"},
		{"the metadata is cut off", func(t *testing.T, d *Directory, _ string) { write(t, filepath.Join(d.path, metaFile), `{"version":1,`) }, "cannot be read"},
		{"the metadata is of a newer version", func(t *testing.T, d *Directory, _ string) {
			write(t, filepath.Join(d.path, metaFile), `{"version":2,"keys":[]}`)
		}, "version 2"},
		{"the metadata has more in it", func(t *testing.T, d *Directory, _ string) {
			write(t, filepath.Join(d.path, metaFile), `{"version":1,"keys":[],"more":1}`)
		}, "unknown field"},
		{"an ID is a path", func(t *testing.T, d *Directory, _ string) {
			write(t, filepath.Join(d.path, metaFile), `{"version":1,"keys":[{"kid":"../../etc/passwd","alg":"EdDSA","created":"2026-11-23T12:00:00Z"}]}`)
		}, "no thumbprint"},
		{"an algorithm with a secret", func(t *testing.T, d *Directory, id string) {
			write(t, filepath.Join(d.path, metaFile), fmt.Sprintf(`{"version":1,"keys":[{"kid":%q,"alg":"HS256","created":"2026-11-23T12:00:00Z"}]}`, id))
		}, "none with a public key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDirectory(t.TempDir())
			c.spoil(t, d, add(t, d, noon))
			b, err := d.Read()
			if err == nil {
				_, err = d.Load(b, noon, nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
	// The group may read: orchestrators hand files to a program by its group.
	d := NewDirectory(t.TempDir())
	chmod(t, d.file(add(t, d, noon)), 0o440)
	if _, err := d.Load(read(t, d), noon, nil); err != nil {
		t.Error(err)
	}
}

// Keys without the metadata that tells of them are not passed over: gateways that run
// know them, and a book that begins anew would end them all.
func TestKeysWithoutMetadata(t *testing.T) {
	d := NewDirectory(filepath.Join(t.TempDir(), "a [b] * d"))
	id := add(t, d, noon)
	remove(t, filepath.Join(d.path, metaFile))
	err := d.Change(noon, func(*Book) ([]*Made, error) {
		t.Error("a change began")
		return nil, nil
	})
	if err == nil || !strings.Contains(err.Error(), id+".pem") || !strings.Contains(err.Error(), "no keys.json") {
		t.Errorf("got %v", err)
	}
	remove(t, d.file(id))
	if err := d.Change(noon, func(*Book) ([]*Made, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenIsPrivate(t *testing.T) {
	d := NewDirectory(filepath.Join(t.TempDir(), "keys"))
	id := add(t, d, noon)
	for path, want := range map[string]fs.FileMode{d.path: 0o700, d.file(id): 0o600, filepath.Join(d.path, metaFile): 0o600, filepath.Join(d.path, lockFile): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode().Perm(), err)
		}
	}
	entries, err := os.ReadDir(d.path)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
	if text, _ := os.ReadFile(filepath.Join(d.path, metaFile)); strings.Contains(string(text), "PRIVATE") || strings.Contains(string(text), `"d"`) {
		t.Error("the metadata holds a key")
	}
}

// TestManyChangeAndReadADirectory: writers take turns, and no reader ever sees half.
func TestManyChangeAndReadADirectory(t *testing.T) {
	path := t.TempDir()
	add(t, NewDirectory(path), noon)
	var crowd sync.WaitGroup
	stop := make(chan struct{})
	crowd.Go(func() {
		d := NewDirectory(path)
		for {
			select {
			case <-stop:
				return
			default:
			}
			b, err := d.Read()
			if err == nil {
				_, err = d.Load(b, noon, nil)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			d := NewDirectory(path)
			for range 10 {
				m, _ := Make("EdDSA", noon)
				if err := d.Change(noon, func(b *Book) ([]*Made, error) { b.Add(m, noon); return []*Made{m}, nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	crowd.Wait()
	if n := len(read(t, NewDirectory(path)).Keys); n != 41 {
		t.Errorf("%d keys, want 41: a change was lost", n)
	}
}

// FuzzBook: whatever the metadata says, it is refused or makes sense at any moment.
func FuzzBook(f *testing.F) {
	const id = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
	f.Add(`{"version":1,"keys":[]}`, int64(0))
	f.Add(`{"version":1,"keys":[{"kid":"`+id+`","alg":"EdDSA","created":"2026-11-23T12:00:00Z","signs_from":"2026-11-23T12:00:00Z","until":"2026-11-24T12:00:00Z"}]}`, noon.Unix())
	f.Add(`{"version":1,"keys":[{"kid":"../x","alg":"EdDSA"}]}`, int64(0))
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		b, err := ReadBook(text)
		if err != nil {
			return
		}
		now := time.Unix(seconds, 0)
		signing := 0
		for _, e := range b.Keys {
			if strings.ContainsAny(e.ID, "/.\x00") {
				t.Errorf("the ID %q is a path", e.ID)
			}
			if e.State(b, now) == StateSigning {
				signing++
			}
		}
		if _, ok := b.Signing(now); signing > 1 || ok != (signing == 1) {
			t.Errorf("%d keys sign", signing)
		}
	})
}
