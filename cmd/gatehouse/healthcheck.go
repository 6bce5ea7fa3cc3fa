package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/cmd/gatehouse/internal/edge"
)

// healthTime bounds the whole question; orchestrators ask every few seconds.
const healthTime = 3 * time.Second

func (p *program) healthcheckCommand() *cobra.Command {
	var listen string
	cmd := p.configured(&cobra.Command{
		Use:   "healthcheck",
		Short: "Tell whether the running gateway is ready",
		Long: `Asks the gateway that runs with the same configuration, on server.admin_listen,
whether it is ready. Without an admin listener it asks on the first address of
server.listen whether the gateway answers at all. Exits 0 if so and 1 if not. It is
for images without a shell, where the health check must be the program itself.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := map[string]config.Flag{}
			if cmd.Flags().Changed("listen") {
				flags["server.listen"] = config.Flag{Name: "--listen", Value: listen}
			}
			return p.healthcheck(cmd.Context(), flags)
		},
	})
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDRESS` that the gateway was told to listen on (serve --listen), instead of server.listen")
	return cmd
}

func (p *program) healthcheck(ctx context.Context, flags map[string]config.Flag) error {
	loaded, err := p.load(flags, "server", "tokens")
	if err != nil {
		return err
	}
	address, word := loaded.Server.AdminListen, "ready"
	if address == "" {
		if len(loaded.Server.Listen) == 0 {
			return failed(errors.New("server.listen names no address"), "")
		}
		address, word = loaded.Server.Listen[0], "answering"
	}
	client, base, err := edge.Caller(loaded.Server, address)
	if err != nil {
		return failed(fmt.Errorf("no gateway can be asked on %s: %w", address, err), "")
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	var reasons string
	if word == "ready" {
		reasons, err = askReady(ctx, client, base)
	} else {
		reasons, err = askAnswer(ctx, client, base+loaded.Tokens.BasePath+"/")
	}
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
func askReady(ctx context.Context, client *http.Client, base string) (string, error) {
	answer, err := ask(ctx, client, http.MethodGet, base+"/readyz")
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
func askAnswer(ctx context.Context, client *http.Client, url string) (string, error) {
	answer, err := ask(ctx, client, http.MethodOptions, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return "something else answers with " + answer.Status, nil
	}
	return "", nil
}

func ask(ctx context.Context, client *http.Client, method, url string) (*http.Response, error) {
	in, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(in)
	if err != nil {
		return nil, errors.Unwrap(err) // without the URL, which the sentence has already
	}
	return answer, nil
}
