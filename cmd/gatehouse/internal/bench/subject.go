package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// subject is a program that is measured.
type subject struct {
	name    string
	address string
	auth    []string // the algorithms whose tokens it checks; none: it lets everybody in
	cmd     *exec.Cmd
	output  bytes.Buffer
	ended   chan struct{}
	beside  string // the subject whose first cell its costs are a part of; "": its own
}

// yard is where everything stands.
type yard struct {
	dir      string
	signers  map[string]*signer
	backend  *subject
	subjects []*subject // the bare proxy first, then the gateway
	environ  []string   // of the commands that make users of a special gateway
}

const bareName, gatewayName = "bare ReverseProxy", "gatehouse"

// open starts the backend and every subject that there is.
func (y *yard) open(ctx context.Context, gateway string, s settings) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if y.backend, err = y.run("backend", nil, nil, func(address string) *exec.Cmd {
		return exec.CommandContext(ctx, self, "be-backend", address)
	}); err != nil {
		return err
	}
	add := func(subject *subject, err error) error {
		if err == nil {
			y.subjects = append(y.subjects, subject)
		}
		return err
	}
	if err := add(y.run(bareName, nil, nil, func(address string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, self, "be-bare", address)
		cmd.Env = append(os.Environ(), "BENCH_BACKEND="+y.backend.address)
		return cmd
	})); err != nil {
		return err
	}
	if err := add(y.gatehouse(ctx, gatewayName, gateway)); err != nil {
		return err
	}
	for _, other := range s.also {
		name, file, _ := strings.Cut(other, "=")
		if err := add(y.gatehouse(ctx, name, file)); err != nil {
			return err
		}
	}
	for _, peer := range peers {
		file, err := exec.LookPath(peer.name)
		if err != nil || slices.Contains(s.no, peer.name) {
			continue
		}
		if err := add(y.run(peer.name, peer.auth, nil, func(address string) *exec.Cmd { return peer.command(ctx, y, file, address) })); err != nil {
			return err
		}
	}
	return nil
}

// find returns a subject by its name.
func (y *yard) find(name string) *subject {
	for _, s := range y.subjects {
		if s.name == name {
			return s
		}
	}
	return nil
}

// close stops everything.
func (y *yard) close() {
	for _, s := range y.subjects {
		s.stop()
	}
	if y.backend != nil {
		y.backend.stop()
	}
}

// members are how many users there are. Tokens are of each in turn.
const members = 8

// gatehouse starts a gateway with a store of its own. Its log goes to a file.
func (y *yard) gatehouse(ctx context.Context, name, file string) (*subject, error) {
	dir, err := os.MkdirTemp(y.dir, "gatehouse-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "gatehouse.yaml")
	var keys strings.Builder
	for _, algorithm := range algorithms {
		which := "private_key_file"
		if algorithm == "HS256" {
			which = "secret_file"
		}
		fmt.Fprintf(&keys, "    - { kid: %s, alg: %s, %s: %s }\n", algorithm, algorithm, which, y.signers[algorithm].file)
	}
	text := fmt.Sprintf(`
store: { dsn: %s }
server: { max_body: 100MiB }
login: { hashing: { max_parallel: 1 } }
tokens:
  keys:
%supstreams:
  app: { url: "http://%s" }
routes:
  - { to: app }
`, filepath.Join(dir, "gatehouse.db"), keys.String(), y.backend.address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	for i := range members {
		add := exec.CommandContext(ctx, file, "user", "add", fmt.Sprintf("user%d", i), "--config", config, "--password-stdin")
		add.Stdin = strings.NewReader("a password of no use")
		if text, err := add.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s user add: %w\n%s", name, err, text)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	return y.run(name, algorithms, log, func(address string) *exec.Cmd {
		return exec.CommandContext(ctx, file, "serve", "--config", config, "--listen", address)
	})
}

// run starts a program that is to listen on an address, and waits until it does.
func (y *yard) run(name string, auth []string, output *os.File, command func(address string) *exec.Cmd) (*subject, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, auth: auth, address: address}
	s.cmd = command(s.address)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if output != nil {
		s.cmd.Stdout, s.cmd.Stderr = output, output
		defer func() { _ = output.Close() }()
	}
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, nil
}

// start starts the program and waits until something listens.
func (s *subject) start() error {
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	for patience := time.Now().Add(time.Minute); time.Now().Before(patience); time.Sleep(time.Millisecond) {
		select {
		case <-s.ended:
			return fmt.Errorf("%s ended: %s", s.name, s.output.String())
		default:
		}
		if conn, err := new(net.Dialer).Dial("tcp", s.address); err == nil {
			_ = conn.Close()
			return nil
		}
	}
	s.stop()
	return fmt.Errorf("%s does not listen on %s", s.name, s.address)
}

// stop ends the program in order, and otherwise after a few seconds.
func (s *subject) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// checks tells whether the subject looks at tokens of that algorithm.
func (s *subject) checks(algorithm string) bool { return slices.Contains(s.auth, algorithm) }

// prove makes sure that each subject does what it is measured for: good tokens get the
// backend's answer, and bad ones are refused by those that check.
func (y *yard) prove() error {
	var faults []error
	for _, s := range y.subjects {
		for _, algorithm := range algorithms {
			if s.auth != nil && !s.checks(algorithm) {
				continue
			}
			good, err := y.signers[algorithm].good(1)
			if err != nil {
				return err
			}
			c := client{address: s.address}
			if status, err := c.ask(good); err != nil || status != 200 {
				faults = append(faults, fmt.Errorf("%s answers %d to a good %s token, %w", s.name, status, algorithm, err))
			}
			bad, err := y.signers[algorithm].bad()
			if err != nil {
				return err
			}
			for what, request := range bad {
				status, err := c.ask(request)
				if refused := status == 401 || status == 403; err != nil || refused != (s.auth != nil) {
					faults = append(faults, fmt.Errorf("%s answers %d to %s (%s), %w", s.name, status, what, algorithm, err))
				}
			}
			c.close()
		}
	}
	return errors.Join(faults...)
}
