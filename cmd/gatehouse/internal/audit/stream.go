package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Parts are what a [Stream] works with.
type Parts struct {
	Stdout io.Writer        // where output: stdout goes
	Failed func(error)      // told of the first line that could not be written, and of the first that could again (nil); may be nil
	Now    func() time.Time // nil: time.Now
}

// Stream takes records. A nil *Stream takes them and writes nothing. It is safe for
// concurrent use, and several processes may write to one file: each line is written
// at once, at its end.
type Stream struct {
	path   string // "": it is stdout
	refuse bool
	parts  Parts
	host   string

	mu   sync.Mutex
	to   io.Writer
	file *os.File // nil: it is stdout
	torn bool     // a part of a line was written
	lost int64    // lines that were not written, of which nothing is said yet

	repeats repeats

	trouble  atomic.Pointer[string] // why the last line could not be written; nil: it could
	failures atomic.Int64
}

// Open opens what the section names; nil where there is no audit. A file that cannot
// be opened is a [*Fault].
func Open(cfg Config, parts Parts) (*Stream, error) {
	if err := errors.Join(cfg.Check()...); err != nil || !cfg.Enabled() {
		return nil, err
	}
	s := &Stream{path: cfg.Path(), refuse: cfg.OnFailure == "refuse", parts: parts, to: parts.Stdout, repeats: repeats{every: repeatTime}}
	s.host, _ = os.Hostname()
	if s.parts.Now == nil {
		s.parts.Now = time.Now
	}
	if s.path == "" {
		return s, nil
	}
	if err := s.reopen(); err != nil {
		return nil, &Fault{
			At: "output", Problem: fmt.Sprintf("the audit cannot be written to %s: %v", s.path, reason(err)),
			Fix: "make the directory, writable by the user that runs gatehouse, or name another file", Err: err,
		}
	}
	return s, nil
}

// reopen opens the file anew. The old one stays where that fails.
func (s *Stream) reopen() error {
	file, err := openFile(s.path)
	if err != nil {
		return err
	}
	if s.file != nil {
		_ = s.file.Close() // each of its lines was written at once
	}
	s.file, s.to, s.torn = file, file, endsTorn(file)
	return nil
}

// Write writes a record. What is missing of it is who all records have: its ID, its
// time and the machine. The error is that of the disk where that must stop what
// happened (on_failure: refuse), and else nil.
func (s *Stream) Write(r Record) error {
	if s == nil {
		return nil
	}
	line, err := r.line(s.parts.Now(), s.host)
	if err == nil {
		err = s.append(line, 1)
	}
	if err != nil {
		s.failures.Add(1)
	}
	s.note(err)
	if err != nil && s.refuse {
		return fmt.Errorf("the audit cannot be written: %w", err)
	}
	return nil
}

// gap is the line that says how many are missing.
func (s *Stream) gap() ([]byte, error) {
	return Record{Event: EventLost, Outcome: Error, ActorType: System, Detail: map[string]any{"lines": s.lost}}.line(s.parts.Now(), s.host)
}

// Ready is the error that Write would return, asked before something is done that could
// not be undone: where the last line could not be written and must stop what
// happens, it tries to say how many are missing.
func (s *Stream) Ready() error {
	if s == nil || !s.refuse || s.trouble.Load() == nil {
		return nil
	}
	err := s.append(nil, 0)
	s.note(err)
	if err != nil {
		return fmt.Errorf("the audit cannot be written: %w", err)
	}
	return nil
}

// append writes what is missing, and so many lines.
func (s *Stream) append(line []byte, lines int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var moved error
	if s.file != nil && s.isMoved() {
		moved = s.reopen()
	}
	if s.lost > 0 {
		gap, err := s.gap()
		if err != nil {
			return err
		}
		line = append(gap, line...)
	}
	if s.torn {
		line = append([]byte("\n"), line...) // what is broken is one line, not two
	}
	if s.file != nil {
		_ = s.file.SetWriteDeadline(time.Now().Add(pipeTime)) // files on a disk have none
	}
	n, err := s.to.Write(line)
	if err == nil {
		s.lost = 0
	}
	switch {
	case err != nil:
		s.torn = s.torn || n > 0
		s.lost += lines
	case moved != nil: // it is in a file that nobody looks for it in
		s.torn = false
		return fmt.Errorf("it goes on in the file that was renamed: %w", moved)
	default:
		s.torn = false
	}
	return err
}

// isMoved tells whether the file is no longer the one of that name.
func (s *Stream) isMoved() bool {
	now, err := os.Stat(s.path)
	if err != nil {
		return true
	}
	ours, err := s.file.Stat()
	return err != nil || !os.SameFile(now, ours)
}

// note remembers how the last line fared.
func (s *Stream) note(err error) {
	var text *string
	if err != nil {
		text = new(reason(err).Error())
	}
	before := s.trouble.Swap(text)
	if (before == nil) != (text == nil) && s.parts.Failed != nil {
		s.parts.Failed(err)
	}
}

// Trouble tells why the last line could not be written, or is "".
func (s *Stream) Trouble() string {
	if s == nil {
		return ""
	}
	if text := s.trouble.Load(); text != nil {
		return *text
	}
	return ""
}

// Failures counts the lines that could not be written.
func (s *Stream) Failures() int64 {
	if s == nil {
		return 0
	}
	return s.failures.Load()
}

// Reopen opens the file anew, as who rotates logs asks for. Without it a file that was
// renamed is noticed at the next line.
func (s *Stream) Reopen() {
	if s == nil || s.path == "" {
		return
	}
	s.mu.Lock()
	err := s.reopen()
	s.mu.Unlock()
	if err != nil {
		s.note(err)
	}
}

// Close tells what was counted, and closes the file.
func (s *Stream) Close() error {
	if s == nil {
		return nil
	}
	s.endRepeats()
	if s.file == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}

// reason leaves out the name of the file, which is said around it.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
