package main

import (
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"gatehouse/users/password"
)

// hashingCommandName is what a gateway calls itself with for another process that hashes
// passwords (login.hashing.isolation). Nobody else does, and so no help shows it.
const hashingCommandName = "hash-passwords"

// hashingArgs are the arguments of that process, as ps shows them.
func hashingArgs() []string { return []string{"gatehouse", hashingCommandName} }

func (p *program) hashingCommand() *cobra.Command {
	return &cobra.Command{
		Use:    hashingCommandName + " PARALLEL",
		Short:  "Hash passwords for a gateway, which starts this by itself",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			parallel, err := strconv.Atoi(args[0])
			if err != nil || parallel < 1 {
				return usage("gatehouse serve", "a gateway starts this by itself")
			}
			// It goes when the gateway goes, which answers first what was asked: a signal to all
			// of a service, a container or a terminal is not meant for it.
			signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			return password.Serve(p.stdin, p.stdout, parallel)
		},
	}
}
