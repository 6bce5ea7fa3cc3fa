package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTime bounds the whole question; orchestrators ask every few seconds.
const healthTime = 3 * time.Second

func (p *program) healthcheckCommand() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:   "healthcheck",
		Short: "Tell whether the running gateway is ready",
		Long: `Asks the gateway that runs with the same configuration, on server.admin_listen,
whether it is ready. Without an admin listener it asks on server.listen whether
the gateway answers at all. Exits 0 if so and 1 if not. It is for images without
a shell, where the health check must be the program itself.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.healthcheck(cmd.Context()) },
	})
}

func (p *program) healthcheck(ctx context.Context) error {
	loaded, err := p.load(nil, "server", "tokens")
	if err != nil {
		return err
	}
	address, ask, word := loaded.Server.AdminListen, askReady, "ready"
	if address == "" {
		address, word = loaded.Server.Listen, "answering"
		ask = func(ctx context.Context, address string) (string, error) {
			return askAnswer(ctx, address, loaded.Tokens.BasePath+"/")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	reasons, err := ask(ctx, dialable(address))
	if err != nil {
		return failed(fmt.Errorf("no gateway answers on %s: %w", address, err), "")
	}
	if reasons != "" {
		return failed(errors.New("the gateway is not ready: "+reasons), "")
	}
	_, err = fmt.Fprintln(p.stdout, word)
	return err
}

// askReady returns why the gateway is not ready, or "".
func askReady(ctx context.Context, address string) (string, error) {
	answer, err := ask(ctx, http.MethodGet, "http://"+address+"/readyz")
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusOK {
		return "", nil
	}
	var said struct{ Reasons []string }
	_ = json.NewDecoder(http.MaxBytesReader(nil, answer.Body, 4<<10)).Decode(&said)
	if len(said.Reasons) == 0 {
		return answer.Status, nil
	}
	return strings.Join(said.Reasons, ", "), nil
}

// askAnswer asks for the description of the login endpoint, which costs nothing and
// is open to everybody.
func askAnswer(ctx context.Context, address, path string) (string, error) {
	answer, err := ask(ctx, http.MethodOptions, "http://"+address+path)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return "something else answers with " + answer.Status, nil
	}
	return "", nil
}

func ask(ctx context.Context, method, url string) (*http.Response, error) {
	in, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	// No proxy of the environment: this is about this machine.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(in)
	if err != nil {
		return nil, errors.Unwrap(err) // without the URL, which the sentence has already
	}
	return answer, nil
}

// dialable turns an address that is listened on into one that can be called:
// every address is this machine's too.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
