package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/users/password"
)

func (p *program) serveCommand() *cobra.Command {
	var listen string
	cmd := p.configured(&cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: `Runs the gateway until it is told to stop. With SIGTERM or SIGINT it stops
accepting, finishes what is in flight (server.drain) and closes the store; a
second signal stops it at once.

A configuration that changes, or a file that it names, is taken over within
seconds, or at once with SIGHUP: new requests go by the new one, those that run end
by the old one. One that cannot be used is told in the log, and changes nothing.

Any scalar of the configuration can be set in the environment instead:
server.listen is GATEHOUSE_SERVER_LISTEN.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := map[string]config.Flag{}
			if cmd.Flags().Changed("listen") {
				flags["server.listen"] = config.Flag{Name: "--listen", Value: listen}
			}
			return p.serve(cmd.Context(), flags)
		},
	})
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDRESS` to listen on, instead of server.listen")
	return cmd
}

// startOver is how long after the start it has ended for sure: nobody's first request
// waits for what is put away.
const startOver = 100 * time.Millisecond

func (p *program) serve(ctx context.Context, flags map[string]config.Flag) error {
	loaded, err := p.load(flags)
	if err != nil {
		return told(loaded, err)
	}
	level := new(slog.LevelVar)
	level.Set(levelOf(loaded.Log))
	logger, hurry := newBatchingLogger(p.stdout, level, loaded.Log.Format)
	defer hurry()
	defer context.AfterFunc(ctx, hurry)()
	// A container's memory is not the machine's. Without this the collector
	// would let the heap grow until the process is killed.
	if _, err := memlimit.Set(); err != nil {
		logger.Debug("no memory limit of a container", slog.Any("error", err))
	}
	defer tuneCollector()()
	// From here on SIGHUP ends nothing.
	reloader := newReloader(loaded, func() (*config.Loaded, error) { return p.load(flags) })
	reloader.level = level
	s, err := launchTo(ctx, loaded, logger, p.stdout)
	if err != nil {
		return err
	}
	leaveRoom(s.hasher)
	s.follow(reloader)
	// To its end, although the program may be told to stop meanwhile.
	if err := lint(context.WithoutCancel(ctx), loaded, s.current.Load(), s.store); err != nil {
		logger.Warn("not all of the configuration could be looked at", slog.Any("error", err))
	}
	p.warn(loaded)
	s.announce(loaded)
	defer time.AfterFunc(startOver, leaveStart).Stop()
	return s.serve(ctx)
}

// leaveRoom takes what the process that hashes passwords may use out of what this one may,
// where that follows from a container's memory, which both share.
func leaveRoom(hasher *password.Hasher) {
	memory, ok := hasher.Isolated()
	if limit := debug.SetMemoryLimit(-1); ok && limit < math.MaxInt64 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(max(limit-memory, limit/2))
	}
}

// told completes what is wrong with a configuration by what the rooms find in it.
func told(loaded *config.Loaded, err error) error {
	if loaded == nil {
		return err
	}
	_, err = compile(loaded)
	return err
}
