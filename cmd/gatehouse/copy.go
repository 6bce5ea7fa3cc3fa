package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/users"
)

// storeCopying are the flags of one copy.
type storeCopying struct {
	from, fromFile, to, toFile string
	dryRun, asJSON             bool
}

func (p *program) storeCopy() *cobra.Command {
	var c storeCopying
	cmd := p.configured(&cobra.Command{
		Use:   "copy --from STORE --to STORE",
		Short: "Copy everything into another store",
		Long: `Copies users, groups, hashes, sessions and tokens into a new store, all or none,
and reads them again before it is done. A STORE is

  sqlite:/var/lib/gatehouse/gatehouse.db
  postgres://gatehouse@db/gatehouse?sslmode=verify-full

with the password in PGPASSWORD, in ~/.pgpass, or with the URL in a file that
--to-file names. The target must be empty. Stop what writes to the source first:
what it is told meanwhile is not copied.

A configuration is looked at for the section audit alone, and need not be there.`,
		Example: `  gatehouse store copy --from sqlite:/var/lib/gatehouse/gatehouse.db --to-file /run/secrets/pg_dsn --dry-run
  gatehouse store copy --from sqlite:gatehouse.db --to 'postgres://gatehouse@db/gatehouse?sslmode=verify-full'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runCopy(cmd.Context(), c) },
	})
	f := cmd.Flags()
	f.StringVar(&c.from, "from", "", "`STORE` to read")
	f.StringVar(&c.fromFile, "from-file", "", "`FILE` that holds the STORE to read, for one with a password")
	f.StringVar(&c.to, "to", "", "`STORE` to write, which must be empty")
	f.StringVar(&c.toFile, "to-file", "", "`FILE` that holds the STORE to write, for one with a password")
	f.BoolVar(&c.dryRun, "dry-run", false, "do everything and keep nothing but empty tables")
	jsonFlag(cmd, &c.asJSON)
	return cmd
}

func (p *program) runCopy(ctx context.Context, c storeCopying) (err error) {
	from, err := storeNamed("from", c.from, c.fromFile)
	if err != nil {
		return err
	}
	to, err := storeNamed("to", c.to, c.toFile)
	if err != nil {
		return err
	}
	if from.Driver == to.Driver && from.DSN == to.DSN {
		return usage("name two stores", "--from and --to are the same store")
	}
	if _, err := os.Stat(from.DSN); from.Driver == "sqlite" && err != nil {
		return failed(fmt.Errorf("the store %s cannot be read: %w", from.DSN, reason(err)), "name the file of store.dsn")
	}
	source, err := p.openNamed(ctx, "from", from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := p.openNamed(ctx, "to", to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	act, err := p.actOfCopy()
	if err != nil {
		return err
	}
	bar := newProgress(p.stderr)
	report, err := source.CopyTo(ctx, target, users.Copying{
		DryRun:   c.dryRun,
		Progress: func(table string, rows int) { bar.show("copying "+table, rows, 0) },
	})
	bar.clear()
	if !c.dryRun {
		err = act.with("from", from.Driver).with("to", to.Driver).copied(report).end(err)
	}
	if fault, ok := errors.AsType[*users.Fault](err); ok {
		return failed(fmt.Errorf("%s, so nothing was copied", fault.Problem), fault.Fix)
	}
	if err != nil {
		return failed(fmt.Errorf("nothing was copied: %w", err), "")
	}
	if c.asJSON {
		return p.printJSON(report)
	}
	rows := make([][]string, 0, len(report.Tables))
	for _, t := range report.Tables {
		rows = append(rows, []string{t.Table, thousands(t.Rows), t.SHA256[:16]})
	}
	if err := table(p.stdout, []string{"TABLE", "ROWS", "SHA-256"}, rows); err != nil {
		return err
	}
	end := "copied; the target has the same rows and values"
	if c.dryRun {
		end = "this was a dry run; nothing was kept"
	}
	_, err = fmt.Fprintln(p.stdout, end)
	return err
}

func (p *program) openNamed(ctx context.Context, flag string, cfg users.Config) (*users.Store, error) {
	store, err := users.Open(ctx, cfg, users.Parts{Logger: newLogger(p.stderr, slog.LevelWarn)})
	if fault, ok := errors.AsType[*users.Fault](err); ok {
		return nil, failed(fmt.Errorf("--%s: %s", flag, fault.Problem), fault.Fix)
	}
	return store, err
}

// storeNamed reads sqlite:PATH, postgres://… or postgres:host=….
func storeNamed(flag, said, file string) (users.Config, error) {
	switch {
	case said != "" && file != "":
		return users.Config{}, usage("gatehouse store copy --help", "--%s and --%s-file name two stores; keep one of them", flag, flag)
	case file != "":
		content, err := os.ReadFile(file)
		if err != nil {
			return users.Config{}, usage("name a file that holds the store", "%s cannot be read: %v", file, reason(err))
		}
		said = strings.TrimSpace(string(content))
	case said == "":
		return users.Config{}, usage("gatehouse store copy --help", "--%s is missing", flag)
	}
	scheme, rest, _ := strings.Cut(said, ":")
	switch {
	case scheme == "sqlite" && rest != "":
		if path, ok := strings.CutPrefix(rest, "//"); ok {
			rest = path
		}
		return users.Config{Driver: "sqlite", DSN: rest}, nil
	case (scheme == "postgres" || scheme == "postgresql") && strings.HasPrefix(rest, "//"):
		return users.Config{Driver: "postgres", DSN: said}, nil
	case scheme == "postgres" && strings.Contains(rest, "="):
		return users.Config{Driver: "postgres", DSN: rest}, nil
	}
	// Not shown: there may be a password in it.
	return users.Config{}, usage("write sqlite:/path/gatehouse.db or postgres://user@host/database", "--%s names no store", flag)
}
