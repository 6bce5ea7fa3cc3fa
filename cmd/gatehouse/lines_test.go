package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// paper is what is written, and in how many pieces.
type paper struct {
	mu     sync.Mutex
	text   bytes.Buffer
	pieces int
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pieces++
	return p.text.Write(b)
}

func (p *paper) read() (string, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String(), p.pieces
}

func TestNoLineIsLost(t *testing.T) {
	var p paper
	began := time.Now()
	logger, hurry := newBatchingLogger(&p, slog.LevelInfo, "auto")
	var group sync.WaitGroup
	for who := range 8 {
		group.Go(func() {
			for i := range 1000 {
				logger.Info(requestLine, "who", who, "i", i)
			}
		})
	}
	group.Wait()
	hurry()
	text, pieces := p.read()
	if n := strings.Count(text, "\n"); n != 8000 {
		t.Errorf("%d lines, want 8000", n)
	}
	for who := range 8 {
		if !strings.Contains(text, fmt.Sprintf(`"who":%d,"i":999}`, who)) {
			t.Errorf("the last line of %d is missing", who)
		}
	}
	if pieces > 200+int(time.Since(began)/linesWait) {
		t.Errorf("8000 lines in %d pieces", pieces)
	}
	logger.Info(requestLine, "who", "the last one")
	if text, _ := p.read(); !strings.Contains(text, "the last one") {
		t.Error("a line waits although the program is stopping")
	}
}

func TestALineWaitsForAMoment(t *testing.T) {
	var p paper
	logger, _ := newBatchingLogger(&p, slog.LevelInfo, "auto")
	for i := range 3 {
		logger.Info(requestLine, "i", i)
		eventually(t, "a line that comes by itself", func() bool {
			text, _ := p.read()
			return strings.Contains(text, fmt.Sprintf(`"i":%d`, i))
		})
	}
}

func TestWhatIsNoRequestIsSaidAtOnceAndInOrder(t *testing.T) {
	var p paper
	logger, _ := newBatchingLogger(&p, slog.LevelInfo, "auto")
	logger.Info(requestLine)
	logger.With("a", "b").Warn("cannot answer")
	text, _ := p.read()
	if first, second := strings.Index(text, requestLine), strings.Index(text, "cannot answer"); first < 0 || second < first {
		t.Errorf("got %q", text)
	}
}
