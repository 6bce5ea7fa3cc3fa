package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/users"
	"gatehouse/users/rate"
)

// userUnlock gives back the budgets that failed logins have used up.
func (p *program) userUnlock() *cobra.Command {
	var network string
	cmd := p.configured(&cobra.Command{
		Use:   "unlock NAME",
		Short: "Let a user who is throttled log in at once, or a network with --network",
		Long: `Gives back what failed logins have taken from the budgets of login.throttle: those
of a user, from everywhere, or with --network those of a network for all users.
Both end by themselves; this is for who cannot wait. All gateways on the store
go by it at once. It does not enable who is disabled.`,
		Example: `  gatehouse user unlock alice
  gatehouse user unlock --network 192.0.2.17`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("network") {
				return noArguments(cmd, args)
			}
			return oneName(cmd, args)
		},
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withLoadedStore(cmd.Context(), func(ctx context.Context, store *users.Store, loaded *config.Loaded) error {
			if cmd.Flags().Changed("network") {
				return p.unlockNetwork(ctx, store, network)
			}
			user, err := store.UserByName(ctx, args[0])
			if err != nil {
				return explain(err, args[0])
			}
			by, name := users.ByName, user.Username
			if loaded.Login.FindBy == string(users.ByEmail) {
				by, name = users.ByEmail, user.Email
			}
			act, err := p.act(eventUnlock)
			if err != nil {
				return err
			}
			n, err := store.Unlock(ctx, by, name)
			if err := act.on(user).end(err); err != nil {
				return err
			}
			return p.tellUnlocked(strings.Map(visible, user.String()), n)
		})
	}
	cmd.Flags().StringVar(&network, "network", "", "`ADDRESS` of which the network (an IPv4 address, an IPv6 /64) is let in again")
	return cmd
}

func (p *program) unlockNetwork(ctx context.Context, store *users.Store, text string) error {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return usage("gatehouse user unlock --network 192.0.2.17", "--network %q is not an address", text)
	}
	name := rate.NetworkOf(addr).String()
	if addr.Unmap().Is6() {
		name += "/64"
	}
	act, err := p.act(eventUnlock)
	if err != nil {
		return err
	}
	n, err := store.UnlockNetwork(ctx, addr)
	if err := act.with("network", name).end(err); err != nil {
		return err
	}
	return p.tellUnlocked("the network "+name, n)
}

func (p *program) tellUnlocked(whom string, n int) error {
	var err error
	if n == 0 {
		_, err = fmt.Fprintf(p.stdout, "nothing was taken from %s\n", whom)
	} else {
		_, err = fmt.Fprintf(p.stdout, "unlocked %s\n", whom)
	}
	return err
}
