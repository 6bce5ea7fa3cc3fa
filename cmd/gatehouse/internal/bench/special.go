package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/users/userstest/port"
)

// special is a gateway that stands by itself, with a configuration of its own and the
// listener that tells about it.
type special struct {
	*subject
	dir    string
	config string
	admin  string
}

// special starts a gateway. text is its configuration besides the store, the keys and
// the listeners. Each line of people is a user, name:password.
func (y *yard) special(ctx context.Context, name, file, text string, people ...string) (*special, error) {
	dir, err := os.MkdirTemp(y.dir, "gatehouse-")
	if err != nil {
		return nil, err
	}
	g := &special{dir: dir, config: filepath.Join(dir, "gatehouse.yaml")}
	if g.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	var keys strings.Builder
	for _, algorithm := range algorithms {
		which := "private_key_file"
		if algorithm == "HS256" {
			which = "secret_file"
		}
		fmt.Fprintf(&keys, "    - { kid: %s, alg: %s, %s: %s }\n", algorithm, algorithm, which, y.signers[algorithm].file)
	}
	if !strings.Contains(text, "store:") {
		text = fmt.Sprintf("store: { dsn: %s }\n", filepath.Join(dir, "gatehouse.db")) + text
	}
	text = strings.Replace(text, "KEYS\n", "keys:\n"+keys.String(), 1)
	text = strings.Replace(text, "ADMIN", g.admin, 1)
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	for _, person := range people {
		name, password, _ := strings.Cut(person, ":")
		if err := g.tell(ctx, file, password, y.environ, "user", "add", name, "--password-stdin"); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	g.subject, err = y.run(name, algorithms, log, func(address string) *exec.Cmd {
		return exec.CommandContext(ctx, file, "serve", "--config", g.config, "--listen", address)
	})
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return g, nil
}

// tell runs a command on the store of the gateway, with what environ says beside the
// configuration.
func (g *special) tell(ctx context.Context, file, stdin string, environ []string, args ...string) error {
	cmd := exec.CommandContext(ctx, file, append(args, "--config", g.config)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), environ...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("gatehouse %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return nil
}

// freeAddress is one that nobody else is given before somebody listens there.
func freeAddress() (string, error) {
	free, err := port.Free()
	return fmt.Sprintf("127.0.0.1:%d", free), err
}

// gauges are what a gateway says of itself.
type gauges struct{ goroutines, files int }

var gaugeLine = regexp.MustCompile(`(?m)^(go_goroutines|process_open_fds) (\S+)$`)

func (g *special) gauges(ctx context.Context) (out gauges, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin+"/metrics", nil)
	if err != nil {
		return out, err
	}
	answer, err := new(http.Client).Do(request)
	if err != nil {
		return out, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	for _, match := range gaugeLine.FindAllSubmatch(text, -1) {
		value, _ := strconv.ParseFloat(string(match[2]), 64)
		if bytes.HasPrefix(match[1], []byte("go_")) {
			out.goroutines = int(value)
		} else {
			out.files = int(value)
		}
	}
	return out, err
}

// post is a request with a JSON body. from is who a trusted proxy says it is from.
func post(path, from, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: app.example.com\r\nX-Forwarded-For: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, from, len(body), body)
}
