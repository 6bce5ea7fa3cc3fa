package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/cmd/gatehouse/internal/edge"
	"gatehouse/proxy"
	"gatehouse/users"
)

// The account of the demo.
const (
	demoUser     = "testuser"
	demoPassword = "testpassword" // it is printed, and lasts as long as the demo
)

// demoConfig is what the demo runs on: the smallest file, for its own backend.
const demoConfig = `store: { dsn: gatehouse.db }
tokens:
  keys: [{ kid: demo, alg: HS256, secret_file: key }]
upstreams:
  demo: { url: %q }
routes:
  - to: demo
`

func (p *program) demoCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try it: a gateway, a backend and a user, gone when you stop it",
		Long: `Runs a gateway in front of a backend of its own, with the user
` + demoUser + ` / ` + demoPassword + `, and prints curl commands to paste. Database and
key are in a temporary directory, which is removed at the end. No file is read
and nothing is fetched.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.demo(cmd.Context(), listen) },
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`ADDRESS` to listen on")
	return cmd
}

// demo is serve with a configuration and a backend that it makes itself.
func (p *program) demo(ctx context.Context, listen string) (err error) {
	dir, err := os.MkdirTemp("", "gatehouse-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	backend, err := startDemoBackend(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()

	loaded, err := loadDemo(dir, "http://"+backend.Addr, listen)
	if err != nil {
		return err
	}
	s, err := launch(ctx, loaded, newLogger(p.stderr, slog.LevelWarn))
	if err != nil {
		return failed(err, "gatehouse demo --listen 127.0.0.1:8081")
	}
	if _, err := s.store.CreateUser(ctx, users.NewUser{Username: demoUser, Password: demoPassword, Email: demoUser + "@example.com"}); err != nil {
		return errors.Join(err, s.stop(proxy.Drain{}))
	}

	served := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { served <- s.serve(ctx) }()
	client, _, err := edge.Caller(loaded.Server, s.edge.URLs()[0])
	if err != nil {
		stop()
		return errors.Join(err, <-served)
	}
	base, curl := reachable(s.edge.Addrs()[0])
	pair, err := obtain(ctx, client, base)
	if err != nil {
		stop()
		return errors.Join(err, <-served)
	}
	address := base
	if curl != "curl" {
		address = s.edge.URLs()[0]
	}
	p.explainDemo(address, base, curl, pair)
	return <-served
}

// loadDemo writes a configuration into dir and reads it as serve would. The
// environment is left out: what is set there is meant for another gateway.
func loadDemo(dir, backend, listen string) (*config.Loaded, error) {
	secret := make([]byte, 48)
	_, _ = rand.Read(secret) // never fails
	path := filepath.Join(dir, "gatehouse.yaml")
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "key"), []byte(base64.StdEncoding.EncodeToString(secret)), 0o600),
		os.WriteFile(path, fmt.Appendf(nil, demoConfig, backend), 0o600),
	)
	if err != nil {
		return nil, err
	}
	loaded, err := config.Load(config.Input{Path: path, Flags: map[string]config.Flag{"server.listen": {Name: "--listen", Value: listen}}})
	if err != nil {
		return nil, told(loaded, err)
	}
	// Nothing here is worth waiting for.
	loaded.Server.Drain.Timeout = 2 * time.Second
	return loaded, nil
}

// reachable is how a person on this machine reaches the listener: the beginning of
// its URLs, and curl with what it must be told.
func reachable(address net.Addr) (base, curl string) {
	switch address := address.(type) {
	case *net.UnixAddr:
		return "http://localhost", "curl --unix-socket " + address.Name
	case *net.TCPAddr:
		if address.IP.IsUnspecified() {
			return fmt.Sprintf("http://127.0.0.1:%d", address.Port), "curl"
		}
	}
	return "http://" + address.String(), "curl"
}

// tokenPair is what a login answers.
type tokenPair struct{ Access, Refresh string }

// obtain logs in as any client does.
func obtain(ctx context.Context, client *http.Client, base string) (pair tokenPair, err error) {
	body, err := json.Marshal(map[string]string{"username": demoUser, "password": demoPassword})
	if err != nil {
		return pair, err
	}
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/token/", bytes.NewReader(body))
	if err != nil {
		return pair, err
	}
	out.Header.Set("Content-Type", "application/json")
	client.Timeout = 30 * time.Second
	answer, err := client.Do(out)
	if err != nil {
		return pair, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return pair, err
	}
	if answer.StatusCode != http.StatusOK {
		return pair, fmt.Errorf("the demo cannot log in: %s answered %s: %s", base, answer.Status, text)
	}
	return pair, json.Unmarshal(text, &pair)
}

// explainDemo prints what to paste.
func (p *program) explainDemo(address, base, curl string, pair tokenPair) {
	post := func(path, body string) string {
		return curl + " -X POST " + base + path + " -H 'Content-Type: application/json' -d '" + body + "'"
	}
	fmt.Fprintf(p.stdout, `Gatehouse runs on %[7]s in front of a demo backend. Paste, in another terminal:

# Log in as %[2]s: a pair of tokens.
%[3]s

# Refresh: another access token.
%[4]s

# Verify: is this token good?
%[5]s

# Call the protected API. Without the header it answers 401.
%[6]s

An access token lives five minutes; the first line gets another. Every other path
of the backend shows the headers that it receives: try %[1]s/anything with the
same header.

Next: put it in front of your own backend. Write a gatehouse.yaml as in README.md, then
gatehouse serve --config gatehouse.yaml

Stop with Ctrl-C.
`,
		base, demoUser+" / "+demoPassword,
		post("/api/token/", fmt.Sprintf(`{"username": %q, "password": %q}`, demoUser, demoPassword)),
		post("/api/token/refresh/", fmt.Sprintf(`{"refresh": %q}`, pair.Refresh)),
		post("/api/token/verify/", fmt.Sprintf(`{"token": %q}`, pair.Access)),
		curl+" "+base+"/api/protected-endpoint/ -H 'Authorization: Bearer "+pair.Access+"'", address,
	)
}
