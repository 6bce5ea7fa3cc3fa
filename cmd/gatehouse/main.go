package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to stop in order. After a moment signals do what they do
	// by default, so a second one stops at once; not before, since whoever signals a
	// process and then its group means one signal by two.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) //nolint:forbidigo // this is main
}

// program is what every command has.
type program struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	loaded  *config.Loaded // of the command; nil: it reads none
	config  string         // --config; empty: look for it
	begun   bool           // a command was found and its usage is right
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, environ: os.Environ()}
	root := p.commands()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	called, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if !p.begun {
		err = misused(called, err)
	}
	return tell(stderr, err)
}

// commands builds the command tree.
func (p *program) commands() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "An authentication gateway in front of backends that know nothing of tokens",
		Long: `Gatehouse stands in front of HTTP backends that know nothing of tokens and lets
in only those who belong. It issues tokens as SimpleJWT does, checks them on
every request, and tells the backend in headers who the user is.

Try it:      gatehouse demo
Run it:      gatehouse serve --config gatehouse.yaml
`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			p.begun = true
		},
	}
	group(root)
	root.AddCommand(p.serveCommand(), p.demoCommand(), p.userCommand(), p.keysCommand(), p.importCommand(), p.storeCommand(), p.checkCommand(), p.routesCommand(), p.explainCommand(), p.doctorCommand(), p.schemaCommand(), p.healthcheckCommand(), p.versionCommand(), p.hashingCommand())
	return root
}

// group makes a command that only holds others: alone it explains itself, and a
// word that is none of them is an error with the nearest one.
func group(cmd *cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(cmd, args[0])
	}
	// `gatehouse sevre --config x` is about sevre, not about --config.
	cmd.FParseErrWhitelist.UnknownFlags = true
	cmd.SuggestionsMinimumDistance = 2
}

// configured adds the flag of every command that reads the configuration.
func (p *program) configured(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&p.config, "config", "c", "",
		"configuration `FILE` (default $GATEHOUSE_CONFIG, then gatehouse.yaml, then /etc/gatehouse/gatehouse.yaml)")
	return cmd
}
