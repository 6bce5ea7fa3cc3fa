package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// floorName is net/http with a handler that gives the gateway's answer to a request without
// token, and looks at nothing. What a refusal costs above it is the gateway's; below it
// there is nothing to be had with net/http. With floorLogged it writes a line of log for each.
const (
	floorName   = "net/http alone"
	floorLogged = "net/http, a log"
)

// refusers starts both, with the answer that the gateway gives at this moment.
func (y *yard) refusers(ctx context.Context) (both []*subject, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	answer, err := y.find(gatewayName).answerTo(request(""))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{floorName, floorLogged} {
		log := ""
		if name == floorLogged {
			log = filepath.Join(y.dir, "floor.log")
		}
		s, err := y.run(name, nil, nil, func(address string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, self, "be-floor", address)
			cmd.Env = append(os.Environ(), "BENCH_ANSWER="+base64.StdEncoding.EncodeToString(answer), "BENCH_LOG="+log)
			return cmd
		})
		if err != nil {
			for _, s := range both {
				s.stop()
			}
			return nil, err
		}
		s.beside = gatewayName
		both = append(both, s)
	}
	return both, nil
}

// answerTo is an answer as it comes.
func (s *subject) answerTo(request []byte) ([]byte, error) {
	c := client{address: s.address}
	defer c.close()
	if err := c.connect(); err != nil {
		return nil, err
	}
	var read bytes.Buffer
	c.from = bufio.NewReader(io.TeeReader(c.conn, &read))
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	if _, _, err := c.answer(); err != nil {
		return nil, err
	}
	return read.Bytes(), nil
}

// serveFloor answers each request with BENCH_ANSWER.
func serveFloor(ctx context.Context, address string) error {
	text, err := base64.StdEncoding.DecodeString(os.Getenv("BENCH_ANSWER"))
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Header.Del("Date") // net/http's own
	var log *floorLog
	if file := os.Getenv("BENCH_LOG"); file != "" {
		if log, err = newFloorLog(file); err != nil {
			return err
		}
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) { //nolint:gosec // without timeouts: they are not what is asked
		header := w.Header()
		for name, values := range answer.Header {
			header[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(body)
		log.take(in)
	})}
	return serveUntil(ctx, server, address)
}

// floorLog is the least that a log of requests can be: lines as long as the gateway's,
// written together.
type floorLog struct {
	mu   sync.Mutex
	to   *bufio.Writer
	line []byte
}

func newFloorLog(file string) (*floorLog, error) {
	to, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the file that who measures has named
	if err != nil {
		return nil, err
	}
	return &floorLog{to: bufio.NewWriterSize(to, 32<<10)}, nil
}

func (l *floorLog) take(in *http.Request) {
	if l == nil {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = append(l.line[:0], `{"time":"`...)
	l.line = now.AppendFormat(l.line, time.RFC3339Nano)
	l.line = fmt.Appendf(l.line, `","level":"INFO","msg":"request","method":"%s","host":"%s","path":"%s",`, in.Method, in.Host, in.URL.Path)
	l.line = append(append(l.line, strings.Repeat("x", 160)...), '}', '\n')
	_, _ = l.to.Write(l.line)
}
