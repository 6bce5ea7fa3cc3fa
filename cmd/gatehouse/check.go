package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) checkCommand() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:   "check",
		Short: "Report every error and warning of the configuration",
		Long: `Reads the configuration as serve would, environment included, and reports
everything wrong with it. It starts nothing and opens no database of yours.

Then it tries the tests that the file has, by the code that decides in the running
gateway, with a key and users of their own:

  tests:
    - { request: GET https://crm.example.com/admin/, as: { groups: [support] }, expect: upstream }
    - { request: GET https://crm.example.com/admin/, expect: 401 }`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.check(cmd.Context()) },
	})
}

func (p *program) check(ctx context.Context) error {
	loaded, err := p.load(nil)
	if loaded == nil {
		return err
	}
	p.warn(loaded)
	g, err := compile(loaded)
	if err != nil {
		// The thing asked about is not so.
		return failed(err, "")
	}
	if err := rehearse(ctx, loaded, g.endpoints); err != nil {
		return failed(err, "gatehouse explain METHOD URL")
	}
	tried := ""
	if n := len(loaded.Tests); n > 0 {
		tried = ", " + count(n, "test") + " passed"
	}
	all, _ := g.authority.Keys().All()
	owners := count(len(all), "key")
	if n := len(loaded.Tokens.TrustedIssuers); n > 0 {
		owners += ", " + count(n, "trusted issuer")
	}
	_, err = fmt.Fprintf(p.stdout, "%s is fine: %s, %s, %s%s\n", cmp.Or(loaded.Path, "the environment"), owners,
		count(len(loaded.Upstreams), "upstream"), count(len(loaded.Routes), "route"), tried)
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
