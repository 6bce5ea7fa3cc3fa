package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/users"
)

// userSessions lists the sessions of a user, or ends one.
func (p *program) userSessions() *cobra.Command {
	var asJSON bool
	var end string
	cmd := p.configured(&cobra.Command{
		Use:   "sessions NAME",
		Short: "List the sessions of a user, or end one",
		Example: `  gatehouse user sessions alice
  gatehouse user sessions alice --end 3f0c21d9ab87e45`,
		Args:              oneName,
		ValidArgsFunction: p.completeUser,
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
			user, err := store.UserByName(ctx, args[0])
			if err != nil {
				return explain(err, args[0])
			}
			if cmd.Flags().Changed("end") {
				act, err := p.act(eventSessionEnd)
				if err != nil {
					return err
				}
				err = act.on(user).session(end).end(store.EndSessionOf(ctx, user.Username, end))
				if errors.Is(err, users.ErrNotFound) {
					return failed(fmt.Errorf("%q has no session %q", args[0], end), cmd.CommandPath()+" "+args[0])
				}
				if err != nil {
					return err
				}
				return p.report(false, user, "ended a session of")
			}
			all, err := store.Sessions(ctx, user.ID)
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(all)
			}
			rows := make([][]string, 0, len(all))
			for _, one := range all {
				rows = append(rows, []string{one.ID, moment(one.Created), moment(one.Used), one.Address, one.UserAgent})
			}
			return table(p.stdout, []string{"ID", "CREATED", "LAST USED", "ADDRESS", "USER AGENT"}, rows)
		})
	}
	cmd.Flags().StringVar(&end, "end", "", "end the session of that `ID` instead")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// userLogout ends all sessions of a user.
func (p *program) userLogout() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:               "logout NAME",
		Short:             "End all sessions of a user; they may log in again",
		Args:              oneName,
		ValidArgsFunction: p.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
				user, err := store.UserByName(ctx, args[0])
				if err != nil {
					return explain(err, args[0])
				}
				act, err := p.act(eventSessionEnd)
				if err != nil {
					return err
				}
				if err := act.on(user).with("all", true).end(store.EndSessions(ctx, user.ID)); err != nil {
					return explain(err, args[0])
				}
				return p.report(false, user, "logged out")
			})
		},
	})
}
