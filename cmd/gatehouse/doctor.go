package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/cmd/gatehouse/internal/probe"
	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/upstream"
)

// examination are the flags of one doctor.
type examination struct {
	upstream, echo, path, user string
	headers                    []string
	timeout                    time.Duration
	write, asJSON              bool
}

func (p *program) doctorCommand() *cobra.Command {
	var e examination
	cmd := p.configured(&cobra.Command{
		Use:   "doctor --probe UPSTREAM",
		Short: "Ask a backend how it reads requests, and who can reach it",
		Long: `Asks a backend itself, past the gateway, how it reads what two programs may read in
two ways: headers in other spellings and twice, paths that may mean the same, large
headers, slow bodies, two lengths of a body, hosts. It tells what the backend made of
each, and what to set because of it; and whether others can come to it without the
gateway, and whom it believes then.

UPSTREAM is the name of an upstream of the configuration, or of a route to it, or a URL
such as http://127.0.0.1:8000. Run it where the gateway runs: who can be reached
depends on it.

What a backend made of a header shows in its answer. Name with --echo a path that
answers with the headers that it received, for a time; or with --path one whose answer
depends on who asks, and with --user somebody it knows. Only GET and OPTIONS are sent,
POST with --write. It takes a minute at most.

Exit codes: 0 nothing is dangerous, 1 something is, or the backend cannot be asked, 2
wrong usage or configuration.`,
		Example: `  gatehouse doctor --probe crm --path /admin/ --user alice
  gatehouse doctor --probe http://127.0.0.1:8000 --echo /whoami --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.upstream == "" {
				return usage("gatehouse doctor --probe http://127.0.0.1:8000", "it is not said which backend; name it with --probe")
			}
			return p.doctor(cmd.Context(), e)
		},
	})
	f := cmd.Flags()
	f.StringVar(&e.upstream, "probe", "", "`UPSTREAM` to ask: its name, that of a route, or a URL")
	f.StringVar(&e.echo, "echo", "", "`PATH` that answers with the headers that it received")
	f.StringVar(&e.path, "path", "", "`PATH` that exists, best one that depends on who asks (default /)")
	f.StringVar(&e.user, "user", "gatehouse-doctor", "`NAME` of a user whom the backend knows")
	f.StringArrayVar(&e.headers, "header", nil, "`HEADER` that the backend takes for the name of the user (default: those that gatehouse sends); may be repeated")
	f.DurationVar(&e.timeout, "timeout", 3*time.Second, "how long one answer may take")
	f.BoolVar(&e.write, "write", false, "send POST too")
	jsonFlag(cmd, &e.asJSON)
	_ = cmd.RegisterFlagCompletionFunc("probe", p.completeUpstream) // the flag is there
	return cmd
}

// doctorTime bounds all of it.
const doctorTime = time.Minute

// diagnosis is what the doctor says, for programs.
type diagnosis struct {
	Upstream string          `json:"upstream"`
	URL      string          `json:"url"`
	Findings []probe.Finding `json:"findings"`
}

func (p *program) doctor(ctx context.Context, e examination) error {
	for flag, path := range map[string]string{"--echo": e.echo, "--path": e.path} {
		if path != "" && (path[0] != '/' || strings.ContainsAny(path, " \r\n\t")) {
			return usage("gatehouse doctor --help", "%s %q is no path; it begins with a slash and has no spaces", flag, path)
		}
	}
	if e.timeout < 100*time.Millisecond || e.timeout > 20*time.Second {
		return usage("gatehouse doctor --help", "--timeout %s is not between 100ms and 20s", e.timeout)
	}
	for _, name := range append([]string{e.user}, e.headers...) {
		if name == "" || strings.ContainsAny(name, "\r\n") {
			return usage("gatehouse doctor --help", "--user and --header are not empty, and one line")
		}
	}
	name, servers, target, err := p.patient(e)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, doctorTime)
	defer stop()
	var all []diagnosis
	dangers := 0
	for _, server := range servers {
		if server.HTTP2 {
			return failed(fmt.Errorf("%s speaks HTTP/2 alone, in which what is asked here cannot be said", server.URL), "name a server with http:// or https://")
		}
		t := target
		t.Network, t.Address, t.Host, t.TLS = server.Network, server.Address, server.Host, server.TLS
		findings, err := probe.Run(ctx, t)
		if err != nil && len(findings) == 0 {
			return failed(fmt.Errorf("%s: %w", server.URL, err), "name a backend that runs, with --probe URL")
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "note: %s: not everything was asked: %v\n", server.URL, err)
		}
		for _, finding := range findings {
			if finding.Verdict == probe.Danger {
				dangers++
			}
		}
		all = append(all, diagnosis{name, server.URL, findings})
	}
	if err := p.tellDiagnoses(all, e.asJSON); err != nil {
		return err
	}
	if dangers > 0 {
		return failed(errors.New(count(dangers, "danger")+", as told above"), "")
	}
	return nil
}

// patient finds out whom to ask, and what gatehouse does for it.
func (p *program) patient(e examination) (name string, servers []upstream.Server, t probe.Target, err error) {
	t = probe.Target{Echo: e.echo, Path: e.path, Headers: e.headers, User: e.user, Timeout: e.timeout, Write: e.write}
	cfg := proxy.DefaultConfig()
	settings := upstream.Config{URL: e.upstream}
	name = e.upstream
	if !strings.Contains(e.upstream, "://") || p.config != "" {
		loaded, err := p.load(nil)
		if err != nil {
			return "", nil, t, told(loaded, err)
		}
		cfg = loaded.Config
		if !strings.Contains(e.upstream, "://") {
			if name, settings, err = upstreamOf(loaded, e.upstream); err != nil {
				return "", nil, t, err
			}
		}
	}
	servers, err = upstream.Servers(name, settings)
	if fault, ok := errors.AsType[*upstream.Fault](err); ok {
		return "", nil, t, usage("gatehouse doctor --probe http://127.0.0.1:8000", "%s: %w", e.upstream, fault)
	}
	preset, _ := identity.PresetOf(settings.Preset)
	headers, err := identity.NewWith(cfg.Identity, preset)
	if err != nil {
		return "", nil, t, err
	}
	if t.Headers == nil {
		t.Headers = userHeaders(headers)
		if t.Echo != "" {
			t.Headers = t.Headers[:1] // servers read all alike, and an endpoint shows what nobody believes
		}
	}
	t.Managed, t.Head = headers.Managed, int(cfg.Server.MaxHeaderBytes)
	return name, servers, t, nil
}

// userHeaders are those that gatehouse sends, the ones that name a user first, since a
// backend is likelier to believe them; and what else legacy backends believe.
func userHeaders(headers *identity.Headers) []string {
	names := headers.Names()
	for _, usual := range []string{"X-User-Name", "X-Remote-User", "Remote-User"} {
		if !slices.Contains(names, usual) {
			names = append(names, usual)
		}
	}
	rank := func(name string) int {
		if strings.Contains(strings.ToLower(name), "name") || strings.HasSuffix(strings.ToLower(name), "remote-user") {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}

// upstreamOf finds an upstream by its name or by that of a route.
func upstreamOf(loaded *config.Loaded, said string) (name string, cfg upstream.Config, err error) {
	for _, route := range loaded.Routes {
		if strings.EqualFold(route.Name, said) {
			name = route.To
		}
	}
	for _, known := range slices.Sorted(maps.Keys(loaded.Upstreams)) {
		if strings.EqualFold(known, said) {
			return known, loaded.Upstreams[known], nil
		}
		if strings.EqualFold(known, name) {
			name, cfg = known, loaded.Upstreams[known]
		}
	}
	if name == "" {
		return "", cfg, usage("write one of "+strings.Join(slices.Sorted(maps.Keys(loaded.Upstreams)), ", ")+", or a URL", "no upstream and no route is called %q", said)
	}
	return name, cfg, nil
}

// tellDiagnoses prints them: what is dangerous first, then what to know, then the rest in short.
func (p *program) tellDiagnoses(all []diagnosis, asJSON bool) error {
	if asJSON {
		return p.printJSON(all)
	}
	for _, d := range all {
		fmt.Fprintf(p.stdout, "%s\n", d.URL)
		for _, verdict := range []probe.Verdict{probe.Danger, probe.Note, probe.Unknown} {
			p.tellFindings(d.Findings, verdict)
		}
		fmt.Fprintln(p.stdout)
		rows := make([][]string, 0, len(d.Findings))
		for _, f := range d.Findings {
			if f.Verdict == probe.Fine {
				rows = append(rows, []string{f.Probe, f.Sent, f.Read})
			}
		}
		if err := table(p.stdout, []string{"PROBE", "SENT", "READ AS"}, rows); err != nil {
			return err
		}
	}
	return nil
}

// tellFindings prints those of a verdict, and once what to do about several.
func (p *program) tellFindings(findings []probe.Finding, verdict probe.Verdict) {
	advice := ""
	end := func() {
		if advice != "" {
			fmt.Fprintf(p.stdout, "  %s\n", advice)
		}
	}
	for _, f := range findings {
		if f.Verdict != verdict {
			continue
		}
		if f.Advice != advice {
			end()
			fmt.Fprintln(p.stdout)
			advice = f.Advice
		}
		fmt.Fprintf(p.stdout, "%s: %s: %s: %s\n", strings.ToUpper(string(verdict)), f.Probe, printable(f.Sent), printable(f.Read))
	}
	end()
}

// printable keeps what a backend says from steering the terminal.
func printable(text string) string { return strings.Map(visible, text) }
