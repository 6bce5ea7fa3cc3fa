package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/proxy"
	"gatehouse/tokens/drf"
	"gatehouse/users"
)

func (p *program) explainCommand() *cobra.Command {
	var q question
	var asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Tell what would become of a request, and why",
		Long: `Decides about a request as the running gateway would, by the same code, and sends
nothing. It prints the route and the rule with their lines, the decision and why,
what the upstream would be asked for byte by byte, and each header that is added or
removed.

  gatehouse explain GET https://crm.example.com/admin/ --user alice

--user asks with a token made for a user of the store, --token with one as it is ("-"
reads it from standard input, where no list of processes shows it). Without either
the request is anonymous. The token is sent in the header that brings tokens, or
where the route looks for one; for another place use --header.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return errors.New(cmd.CommandPath() + " needs a method and a URL, as in: " + cmd.CommandPath() + " GET https://app.example.com/x")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			q.method, q.url = args[0], args[1]
			return p.explain(cmd.Context(), q, asJSON)
		},
	})
	cmd.Flags().StringVar(&q.user, "user", "", "ask as this `USER` of the store")
	cmd.Flags().StringVar(&q.token, "token", "", "ask with this access `TOKEN`; - reads it from standard input")
	cmd.Flags().StringArrayVarP(&q.headers, "header", "H", nil, "`HEADER` of the request, as \"Name: value\"; may be repeated")
	cmd.Flags().StringVar(&q.from, "from", "127.0.0.1", "`ADDRESS` of the client")
	jsonFlag(cmd, &asJSON)
	cmd.MarkFlagsMutuallyExclusive("user", "token")
	return cmd
}

func (p *program) explain(ctx context.Context, q question, asJSON bool) error {
	if q.token == "-" {
		text, err := readPassword(p.stdin) // the same: a secret up to the end of the input
		if err != nil {
			return err
		}
		q.token = strings.TrimSpace(text)
	}
	in, err := q.request(ctx)
	if err != nil {
		return usage("gatehouse explain --help", "%w", err)
	}
	loaded, err := p.load(nil)
	if err != nil {
		return told(loaded, err)
	}
	show := func(g *generation) error {
		told := explanationOf(loaded, q, g.gateway.Explain(in))
		if asJSON {
			return p.printJSON(told)
		}
		return told.print(p.stdout)
	}
	g, err := compile(loaded)
	if err != nil {
		return err
	}
	defer g.close()
	switch {
	case q.user != "" && !opensStore(loaded):
		return failed(errors.New("there are no users here: no key signs, and no store is written down"), "gatehouse explain … --token -")
	case q.bare(), !opensStore(loaded):
		if q.token != "" {
			g.gateway.Carry(in, q.token)
		}
		return show(g)
	}
	// Who somebody is, and whether a session has ended, only the store knows.
	return p.withStore(ctx, func(ctx context.Context, store *users.Store) error {
		g, err := build(loaded, parts{store: store, logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer g.close()
		token := q.token
		if q.user != "" {
			user, err := store.UserByName(ctx, q.user)
			if err != nil {
				return explain(err, q.user)
			}
			if token, err = g.mint(user, nil); err != nil {
				return failed(err, "gatehouse explain … --token -")
			}
		}
		if token != "" {
			g.gateway.Carry(in, token)
		}
		return show(g)
	})
}

// question is a request that nobody sends.
type question struct {
	method, url string
	headers     []string // "Name: value"
	from        string   // address of the client
	user, token string   // at most one of them
}

// bare tells whether there is no place in the question where a token may be.
func (q *question) bare() bool {
	return q.user == "" && q.token == "" && len(q.headers) == 0 && !strings.Contains(q.url, "?")
}

// request reads the question by the parser of the server.
func (q *question) request(ctx context.Context) (*http.Request, error) {
	scheme, rest, ok := strings.Cut(q.url, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return nil, errors.New("the URL " + strconv.Quote(q.url) + " does not begin with http:// or https://")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, target := rest[:end], cmp.Or(rest[end:], "/")
	target, _, _ = strings.Cut(target, "#") // which no client sends
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	from, err := netip.ParseAddr(cmp.Or(q.from, "127.0.0.1"))
	if err != nil {
		return nil, errors.New("--from " + strconv.Quote(q.from) + " is no IP address")
	}
	for _, line := range q.headers {
		if name, _, ok := strings.Cut(line, ":"); !ok || name == "" || strings.ContainsAny(line, "\r\n") {
			return nil, errors.New("the header is not written as \"Name: value\"") // it may be a secret
		}
	}
	in, err := proxy.ReadRequest(q.method, target, host, q.headers)
	if err != nil {
		return nil, errors.New("no server would read such a request: " + err.Error())
	}
	in.RemoteAddr = net.JoinHostPort(from.String(), "0")
	if scheme == "https" {
		in.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return in.WithContext(ctx), nil
}

// mint makes an access token for a user as a login would, with more claims behind
// those that it has, or in place of those of tokens.claims.
func (g *generation) mint(user users.User, more drf.Object) (string, error) {
	if g.issuer == nil {
		return "", errors.New("no key signs here, so no token can be made for a user")
	}
	return g.issuer.AccessFor(user, more, time.Now())
}
