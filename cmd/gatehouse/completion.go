package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/users"
)

// completionTime is how long somebody who has pressed Tab is made to wait for names.
const completionTime = 2 * time.Second

// completeUser offers the names of users where one is wanted.
func (p *program) completeUser(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, stop := context.WithTimeout(cmd.Context(), completionTime)
	defer stop()
	loaded, err := p.load(nil, "store", "login")
	if err != nil || !users.Exists(loaded.Store) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	_ = p.withStore(ctx, func(ctx context.Context, store *users.Store) error {
		all, err := store.Users(ctx)
		for _, user := range all {
			names = append(names, user.Username)
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeUpstream offers upstreams, and routes by their names.
func (p *program) completeUpstream(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	loaded, err := p.load(nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := slices.Collect(maps.Keys(loaded.Upstreams))
	for _, route := range loaded.Routes {
		if route.Name != "" {
			names = append(names, route.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}
