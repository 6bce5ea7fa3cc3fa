package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A key directory holds keys that change while gateways run: one file of metadata,
// and for each key its private half as PEM, named by its ID. Gateways only read it,
// and any number of them may; commands write, one at a time, by renaming whole files.
const (
	metaFile = "keys.json"
	lockFile = ".lock"
	maxMeta  = 1 << 20
	maxPEM   = 64 << 10
)

// Directory is a key directory. It is safe for concurrent use, by several processes too.
type Directory struct{ path string }

// NewDirectory names a directory; it need not exist yet.
func NewDirectory(path string) *Directory { return &Directory{path} }

// Path is where it is.
func (d *Directory) Path() string { return d.path }

// Read reads the metadata. Where there is none, because no key was ever made, the
// error is fs.ErrNotExist.
func (d *Directory) Read() (Book, error) {
	text, err := d.Raw()
	if err != nil {
		return Book{}, err
	}
	return ReadBook(text)
}

// Raw is the metadata as it stands there, to tell by whether anything has changed.
func (d *Directory) Raw() (string, error) {
	// Whoever may rename files in it puts keys of their own in the place of ours. With the
	// sticky bit that is the owner of a file alone.
	switch info, err := os.Stat(d.path); {
	case err != nil:
		return "", err
	case info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return "", &ModeError{d.path, info.Mode().Perm(), 0o700}
	}
	text, err := readPrivate(filepath.Join(d.path, metaFile), maxMeta)
	return string(text), err
}

// Load reads the keys of the directory that are not retired at that moment. Keys that
// are among known are not read again.
func (d *Directory) Load(book Book, now time.Time, known []*Key) ([]*Key, error) {
	var all []*Key
	for _, e := range book.Keys {
		if e.State(book, now) == StateRetired {
			continue
		}
		if i := slices.IndexFunc(known, func(k *Key) bool { return k.id == e.ID && k.Algorithm() == e.Algorithm }); i >= 0 {
			key := known[i]
			if !key.until.Equal(e.Until) {
				ended := *key
				ended.until = e.Until
				key = &ended
			}
			all = append(all, key)
			continue
		}
		key, err := d.load(e)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", e.ID, err)
		}
		all = append(all, key)
	}
	return all, nil
}

func (d *Directory) load(e Entry) (*Key, error) {
	text, err := readPrivate(d.file(e.ID), maxPEM)
	switch {
	case errors.Is(err, fs.ErrNotExist): // not as if there were no key at all
		return nil, fmt.Errorf("its file %s is gone", d.file(e.ID))
	case err != nil:
		return nil, err
	}
	m, wrong := readPEM(string(text))
	if wrong != nil {
		return nil, errors.New(wrong.problem)
	}
	key, err := NewPublic(e.Algorithm, e.ID, m.public)
	switch {
	case err != nil:
		return nil, err
	case m.private == nil:
		return nil, errors.New("its file holds no private key")
	case key.print != e.ID:
		return nil, errors.New("its file holds another key")
	}
	key.private, key.until = m.private, e.Until
	return key, nil
}

// file is where a key is. IDs are thumbprints, and so no paths.
func (d *Directory) file(id string) string { return filepath.Join(d.path, id+".pem") }

// Change reads the metadata, lets change say what becomes of it, and writes it, while
// nobody else can. The directory is made where it is missing. made are keys whose
// files are written before the metadata names them. Files of keys that are retired
// are removed behind it.
func (d *Directory) Change(now time.Time, change func(*Book) (made []*Made, err error)) (err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(d.path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // which gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	book, err := d.Read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := d.orphans(); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	made, err := change(&book)
	if err != nil {
		return err
	}
	for _, m := range made {
		if err := d.write(m.ID+".pem", m.pem); err != nil {
			return err
		}
	}
	book.Version = bookVersion
	text, err := json.MarshalIndent(book, "", "  ")
	if err != nil {
		return err
	}
	if err := d.write(metaFile, append(text, '\n')); err != nil {
		return err
	}
	for _, e := range book.Keys {
		if e.State(book, now) == StateRetired {
			if err := os.Remove(d.file(e.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// orphans refuses to begin anew where keys are that no metadata tells of: gateways that
// run go on with them, until a new book without them ends them.
func (d *Directory) orphans() error {
	files, err := filepath.Glob(filepath.Join(escaped(d.path), "*.pem"))
	if err != nil || len(files) == 0 {
		return err
	}
	return &Unsafe{
		fmt.Sprintf("%s holds keys, such as %s, and no %s that says what each is for; with a new one the tokens of these keys would be refused", d.path, filepath.Base(files[0]), metaFile),
		"put " + metaFile + " back; or take the keys away",
	}
}

// escaped is a path in which filepath.Glob finds no pattern.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// write replaces a file as a whole: who reads sees the old one or the new one, also
// after a crash.
func (d *Directory) write(name string, text []byte) error {
	file, err := os.CreateTemp(d.path, ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already where all went well
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(d.path, name)); err != nil {
		return err
	}
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// readPrivate reads a file that nobody but its owner, and at most its group, may read.
func readPrivate(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	case info.Mode().Perm()&0o037 != 0:
		return nil, &ModeError{path, info.Mode().Perm(), 0o600}
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return text, err
}

// ModeError is a file of keys, or the directory of them, that others may read or write.
type ModeError struct {
	Path        string
	Mode, Right fs.FileMode // as it is, and as it should be
}

func (e *ModeError) Error() string {
	return fmt.Sprintf("%s has the mode %#o, so that others may read or write it; run chmod %#o %s", e.Path, e.Mode, e.Right, e.Path)
}

// Made is a key that was just made.
type Made struct {
	Entry
	pem []byte
}

// Make makes a key for an algorithm with a public half.
func Make(algorithm string, now time.Time) (*Made, error) {
	a, known := algorithms[algorithm]
	if !known || a.symmetric() {
		return nil, fmt.Errorf("there is no key pair for %q; take ES256, EdDSA, RS256, or another of %s without HS", algorithm, algorithmNames)
	}
	var private crypto.Signer
	var err error
	switch {
	case a.rsa:
		private, err = rsa.GenerateKey(rand.Reader, madeRSA)
	case a.curve != nil:
		private, err = ecdsa.GenerateKey(a.curve, rand.Reader)
	default:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	id := describePublic(private.Public()).thumbprint()
	return &Made{Entry{ID: id, Algorithm: algorithm, Created: now.UTC().Truncate(time.Second)}, text}, nil
}

// madeRSA is the size of RSA keys that are made, in bits: good beyond 2030.
const madeRSA = 3072
