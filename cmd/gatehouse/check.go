package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) checkCommand() *cobra.Command {
	var strict bool
	cmd := p.configured(&cobra.Command{
		Use:   "check",
		Short: "Report every error and warning of the configuration",
		Long: `Reads the configuration as serve would, environment included, and reports
everything wrong with it, and what is allowed and seldom meant. It starts nothing and
changes nothing. If the database of store is there, it is asked which groups have users.

Then it tries the tests that the file has, by the code that decides in the running
gateway, with a key and users of their own:

  tests:
    - { request: GET https://crm.example.com/admin/, as: { groups: [support] }, expect: upstream }
    - { request: GET https://crm.example.com/admin/, expect: 401 }`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.check(cmd.Context(), strict) },
	})
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	return cmd
}

func (p *program) check(ctx context.Context, strict bool) error {
	loaded, err := p.load(nil)
	if loaded == nil {
		return err
	}
	g, err := compile(loaded)
	if err != nil {
		p.warn(loaded)
		// The thing asked about is not so.
		return failed(err, "")
	}
	defer g.close()
	unseen := lint(ctx, loaded, g, nil)
	p.warn(loaded)
	if unseen != nil {
		fmt.Fprintln(p.stderr, "note:", unseen)
	}
	if err := rehearse(ctx, loaded, g.endpoints); err != nil {
		return failed(err, "gatehouse explain METHOD URL")
	}
	if n := len(loaded.Warnings); strict && n > 0 {
		return failed(errors.New(count(n, "warning")+", and with --strict there may be none"), "")
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
