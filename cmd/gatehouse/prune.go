package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/users"
)

func (p *program) storePrune() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:   "prune",
		Short: "Remove tokens and sessions that expired long ago",
		Long: `Removes refresh tokens and sessions that expired more than two days ago. A
running server does it by itself every few minutes; this is for a store that no
server has open, or before a backup. It takes small steps and may be interrupted.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
				act, err := p.act(eventPrune)
				if err != nil {
					return err
				}
				removed, err := store.Prune(ctx)
				if err := act.with("rows", removed).end(err); err != nil {
					return err
				}
				_, err = fmt.Fprintf(p.stdout, "removed %s\n", count(int(removed), "row"))
				return err
			})
		},
	})
}
