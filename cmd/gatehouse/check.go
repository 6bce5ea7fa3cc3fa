package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) checkCommand() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:   "check",
		Short: "Report every error and warning of the configuration",
		Long: `Reads the configuration as serve would, environment included, and reports
everything wrong with it. It starts nothing and opens no database.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return p.check() },
	})
}

func (p *program) check() error {
	loaded, err := p.load(nil)
	if loaded == nil {
		return err
	}
	p.warn(loaded)
	if _, err := compile(loaded); err != nil {
		// The thing asked about is not so.
		return failed(err, "")
	}
	_, err = fmt.Fprintf(p.stdout, "%s is fine: %s, %s, %s\n", cmp.Or(loaded.Path, "the environment"), count(len(loaded.Tokens.Keys), "key"),
		count(len(loaded.Upstreams), "upstream"), count(len(loaded.Routes), "route"))
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
