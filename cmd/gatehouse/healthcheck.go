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
whether it is ready. Exits 0 if it is and 1 if not. It is for images without a
shell, where the health check must be the program itself.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.healthcheck(cmd.Context()) },
	})
}

func (p *program) healthcheck(ctx context.Context) error {
	loaded, err := p.load(nil, "server")
	if err != nil {
		return err
	}
	address := loaded.Server.AdminListen
	if address == "" {
		return usage("set server.admin_listen, or GATEHOUSE_SERVER_ADMIN_LISTEN=127.0.0.1:9090, for the gateway and for this command",
			"there is no admin listener to ask")
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	reasons, err := askReady(ctx, dialable(address))
	if err != nil {
		return failed(fmt.Errorf("no gateway answers on %s: %w", address, err), "")
	}
	if reasons != "" {
		return failed(errors.New("the gateway is not ready: "+reasons), "")
	}
	_, err = fmt.Fprintln(p.stdout, "ready")
	return err
}

// askReady returns why the gateway is not ready, or "".
func askReady(ctx context.Context, address string) (string, error) {
	in, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return "", err
	}
	// No proxy of the environment: this is about this machine.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(in)
	if err != nil {
		return "", errors.Unwrap(err) // without the URL, which the sentence has already
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
