package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/users"
)

func (p *program) storeMigrate() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the store up to date",
		Long: `Makes the store if it is new, and brings its schema up to date, as serve and every
other command do when they open it. This does it alone: before a rolling update, or
with the rights of another database user than the gateway's. Replicas of the release
before go on to work meanwhile. What is up to date already is left alone.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStore(cmd.Context(), func(_ context.Context, store *users.Store) error {
				text := "the schema is up to date: %d\n"
				before, now := store.Schema()
				args := []any{now}
				switch {
				case before == 0:
					text = "made the schema: %d\n"
				case before != now:
					text, args = "brought the schema from %d to %d\n", []any{before, now}
				}
				_, err := fmt.Fprintf(p.stdout, text, args...)
				return err
			})
		},
	})
}
