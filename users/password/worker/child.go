package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

var (
	errDied = errors.New("the process died")
	errOver = errors.New("the process has ended, or was told to, before it was asked")
)

// child is one process.
type child struct {
	process  *os.Process
	in, out  *os.File
	requests chan []byte   // frames that are to be written
	finish   chan struct{} // closed: nothing more will be asked
	over     chan struct{} // closed: it has ended
	rest     *time.Timer

	mu      sync.Mutex
	retired bool
	gone    bool
	number  uint64
	calls   map[uint64]*call
	last    time.Time // when somebody has asked, or was answered
}

// call is a request that was not answered yet.
type call struct {
	answer chan []byte // closed: there will be none
	done   func()      // nil: somebody waits for the answer
	late   *time.Timer // ends the process when there is no answer at all, also where nobody waits
}

// unwritten is how many frames may wait to be written. Whoever calls bounds what is asked
// at once, far below.
const unwritten = 1 << 10

// begin starts a process and waits until it says that it serves.
func begin(cfg Config) (*child, error) {
	var theirs, ours [3]*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			_ = f.Close() // nil answers an error
		}
	}
	for i := range theirs {
		reader, writer, err := os.Pipe()
		if err != nil {
			closeAll(theirs[:])
			closeAll(ours[:])
			return nil, err
		}
		theirs[i], ours[i] = writer, reader
		if i == 0 {
			theirs[i], ours[i] = reader, writer
		}
	}
	process, err := start(cfg.Program, cfg.Args, &os.ProcAttr{Dir: "/", Env: cfg.Env, Files: theirs[:]})
	closeAll(theirs[:])
	if err != nil {
		closeAll(ours[:])
		return nil, err
	}
	go relay(ours[2], process.Pid, cfg.Logger)
	c := &child{
		process: process, in: ours[0], out: ours[1],
		requests: make(chan []byte, unwritten), finish: make(chan struct{}), over: make(chan struct{}),
		calls: map[uint64]*call{}, last: time.Now(),
	}
	if err := c.greeted(); err != nil {
		closeAll(ours[:2])
		_ = process.Kill()
		_, _ = process.Wait()
		return nil, err
	}
	go c.write()
	return c, nil
}

// greeted waits for the first frame.
func (c *child) greeted() error {
	if err := c.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	number, message, err := readFrame(c.out)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it ended at once")
	case err != nil:
		return fmt.Errorf("it does not begin: %w", err)
	case number != 0 || string(message) != greeting:
		return errors.New("it is another program")
	}
	return c.out.SetReadDeadline(time.Time{})
}

// write writes what is asked, and closes the standard input of the process in the end.
func (c *child) write() {
	defer func() { _ = c.in.Close() }()
	for {
		select {
		case frame := <-c.requests:
			if _, err := c.in.Write(frame); err != nil {
				return // listen finds out why
			}
		case <-c.finish:
			return
		case <-c.over:
			return
		}
	}
}

// listen hands out answers until there are no more. The error is what was wrong with the
// last one; nil is that the process has ended.
func (c *child) listen() error {
	for {
		number, answer, err := readFrame(c.out)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c.mu.Lock()
		k := c.calls[number]
		delete(c.calls, number)
		c.last = time.Now()
		c.mu.Unlock()
		if k == nil {
			return fmt.Errorf("%w: it answers what nobody has asked", errGarbled)
		}
		k.late.Stop()
		if k.done != nil {
			k.done()
		} else {
			k.answer <- answer
		}
	}
}

// ask sends a request and returns its answer. The error is errOver, errDied, or that of
// ctx; done is called only with the last, when the answer is there that nobody wants.
func (c *child) ask(ctx context.Context, request []byte, done func()) ([]byte, error) {
	c.mu.Lock()
	if c.retired || c.gone {
		c.mu.Unlock()
		return nil, errOver
	}
	k := &call{answer: make(chan []byte, 1), late: time.AfterFunc(stuck, func() { _ = c.process.Kill() })}
	c.number++
	number := c.number
	c.calls[number] = k
	c.last = time.Now()
	c.mu.Unlock()
	select {
	case c.requests <- appendFrame(nil, number, request):
	case <-c.over: // and k.answer is closed
	}
	select {
	case answer, ok := <-k.answer:
		if !ok {
			return nil, errDied
		}
		return answer, nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	_, waits := c.calls[number]
	if waits {
		k.done = done
	}
	c.mu.Unlock()
	if !waits {
		done() // it was answered at this moment, or will not be
	}
	return nil, ctx.Err()
}

// fail tells everybody who waits that there will be no answer.
func (c *child) fail() {
	c.mu.Lock()
	c.gone = true
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	for _, k := range calls {
		k.late.Stop()
		if k.done != nil {
			k.done()
		} else {
			close(k.answer)
		}
	}
}

// idle is how much longer nobody must ask until that was for so long.
func (c *child) idle(long time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls) > 0 {
		return long
	}
	return long - time.Since(c.last)
}

// retireIdle is retire, unless somebody has asked.
func (c *child) retireIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls) > 0 || c.retired {
		return false
	}
	c.retired = true
	close(c.finish)
	return true
}

// retire ends the process, whatever it does.
func (c *child) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.retired {
		c.retired = true
		close(c.finish)
	}
}

func (c *child) isRetired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retired
}

// What a process may say of itself before nobody listens any more.
const (
	mostLines = 20
	mostLine  = 1 << 10
)

// relay brings what the process says on its standard error into the log.
func relay(from *os.File, pid int, logger *slog.Logger) {
	defer func() { _ = from.Close() }()
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, mostLine)
	for n := 0; n < mostLines && lines.Scan(); n++ {
		if lines.Text() != "" {
			logger.Warn("the process that hashes passwords says something", slog.Int("pid", pid), slog.String("line", lines.Text()))
		}
	}
	_, _ = io.Copy(io.Discard, from)
}
