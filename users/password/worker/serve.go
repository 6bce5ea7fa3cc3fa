package worker

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"
)

// restAfter is how long nothing is asked before memory goes back to the system.
const restAfter = 2 * time.Second

// Serve is what the process does: it answers each request of in on out by what do makes
// of it, so many at once, until in ends. What is being computed then is let go: nobody waits
// for it. The error is that somebody else than a [Worker] has written in, or that out is gone.
// A do that panics answers nothing, which is the empty message.
func Serve(in io.Reader, out io.Writer, parallel int, do func(request []byte) []byte) error {
	in, release := polled(in)
	defer release()
	s := &server{out: out, do: do, places: make(chan struct{}, max(1, parallel)), broken: make(chan error, 1)}
	s.rest = time.AfterFunc(restAfter, s.giveBack)
	defer s.rest.Stop()
	if err := s.write(0, []byte(greeting)); err != nil {
		return err
	}
	go func() { s.end(s.read(in)) }()
	return <-s.broken
}

type server struct {
	do     func([]byte) []byte
	places chan struct{}
	rest   *time.Timer
	broken chan error // the first; nil: nothing more will be asked

	mu  sync.Mutex
	out io.Writer
}

// read begins what is asked.
func (s *server) read(in io.Reader) error {
	for {
		number, request, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case s.places <- struct{}{}:
		default:
			return fmt.Errorf("more is asked at once than the %d that were said", cap(s.places))
		}
		go func() {
			answer := s.answer(request)
			<-s.places // before the answer, whose reader may ask for the next at once
			s.rest.Reset(restAfter)
			if err := s.write(number, answer); err != nil {
				s.end(err)
			}
		}()
	}
}

// answer keeps a request that cannot be borne from taking the others along. What it was
// about is in no log.
func (s *server) answer(request []byte) (answer []byte) {
	defer func() {
		if recover() != nil {
			answer = nil
		}
	}()
	if answer = s.do(request); len(answer) > MaxMessage {
		answer = nil
	}
	return answer
}

func (s *server) write(number uint64, message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.out.Write(appendFrame(nil, number, message))
	return err
}

func (s *server) end(err error) {
	select {
	case s.broken <- err:
	default:
	}
}

// giveBack returns memory when nobody asks. A collection costs time that nobody misses then.
func (s *server) giveBack() {
	if len(s.places) == 0 {
		debug.FreeOSMemory()
	}
}
