package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// How long lines of the access log wait for one another.
const (
	linesWait = 100 * time.Millisecond
	linesMost = 32 << 10 // bytes
)

// lines gathers what is logged, so that one call of the operating system writes many
// lines. Each line waits for a tenth of a second at most. Nothing overtakes anything,
// and whoever writes when the room is full waits: no line is lost but by a
// crash or a writer that fails.
type lines struct {
	to io.Writer

	mu      sync.Mutex
	waiting []byte
	timer   *time.Timer
	armed   bool
	hurried bool
}

func newLines(to io.Writer) *lines {
	l := &lines{to: to, waiting: make([]byte, 0, linesMost+4<<10)}
	l.timer = time.AfterFunc(time.Hour, l.flush)
	l.timer.Stop()
	return l
}

// Write takes one line.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting)+len(line) > linesMost {
		l.flushLocked()
	}
	l.waiting = append(l.waiting, line...)
	if l.hurried {
		l.flushLocked()
	} else if !l.armed {
		l.armed = true
		l.timer.Reset(linesWait)
	}
	return len(line), nil
}

// flush writes what waits.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
}

// hurry lets nothing wait any more: the program is told to stop, and may be killed
// before it has.
func (l *lines) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hurried = true
	l.flushLocked()
}

func (l *lines) flushLocked() {
	if len(l.waiting) > 0 {
		_, _ = l.to.Write(l.waiting) // there is nowhere to say that nothing can be said
		l.waiting = l.waiting[:0]
	}
	l.armed = false
	l.timer.Stop()
}

// prompt is a handler whose lines are written at once, with those that wait, unless
// they tell of a request that went well.
type prompt struct {
	slog.Handler
	lines *lines
}

// requestLine is the message of the access log.
const requestLine = "request"

func (p prompt) Handle(ctx context.Context, r slog.Record) error {
	err := p.Handler.Handle(ctx, r)
	if r.Level != slog.LevelInfo || r.Message != requestLine {
		p.lines.flush()
	}
	return err
}

func (p prompt) WithAttrs(attrs []slog.Attr) slog.Handler {
	return prompt{p.Handler.WithAttrs(attrs), p.lines}
}

func (p prompt) WithGroup(name string) slog.Handler {
	return prompt{p.Handler.WithGroup(name), p.lines}
}

// newBatchingLogger is newLogger for a program that tells of each request. hurry is
// for the time when it is told to stop.
func newBatchingLogger(w io.Writer, level slog.Leveler, format string) (logger *slog.Logger, hurry func()) {
	if isTerminal(w) {
		return newLoggerOf(w, level, format), func() {} // a person looks on
	}
	l := newLines(w)
	p := prompt{newLoggerOf(l, level, format).Handler(), l}
	if _, isJSON := p.Handler.(*slog.JSONHandler); isJSON {
		return slog.New(promptJSON{p}), l.hurry
	}
	return slog.New(p), l.hurry
}

// promptJSON is a prompt that takes lines of the access log as they are to stand there.
type promptJSON struct{ prompt }

// TakeLine writes a line, as prompt does of a request.
func (p promptJSON) TakeLine(line []byte) { _, _ = p.lines.Write(line) }
