package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"gatehouse/users"
)

// storeCommand is what concerns the store as a whole.
func (p *program) storeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Migrate the store, copy it, prune it, or take users out of it"}
	group(cmd)
	cmd.AddCommand(p.storeMigrate(), p.storeCopy(), p.storePrune(), p.exportDjango())
	return cmd
}

// djangoExport are the flags of one export.
type djangoExport struct{ to, userModel, zone string }

func (p *program) exportDjango() *cobra.Command {
	var d djangoExport
	cmd := p.configured(&cobra.Command{
		Use:   "export-django",
		Short: "Write users and groups for Django's loaddata",
		Long: `Writes a fixture that "manage.py loaddata" takes, with ids and password hashes
as Django has them. Loading it into the site that the users came from updates
them there; permissions and users that are not here stay as they are.`,
		Example: `  gatehouse store export-django --to users.json
  manage.py loaddata users.json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runExport(cmd.Context(), d) },
	})
	cmd.Flags().StringVar(&d.to, "to", "-", "`FILE` to write, readable by its owner alone; - is standard output")
	cmd.Flags().StringVar(&d.userModel, "user-model", "", "`MODEL` of the users, if the site has its own (default auth.user)")
	cmd.Flags().StringVar(&d.zone, "time-zone", "", "`ZONE` of the site, TIME_ZONE, if it has USE_TZ = False")
	return cmd
}

func (p *program) runExport(ctx context.Context, d djangoExport) error {
	zone, err := timeZone(d.zone)
	if err != nil {
		return err
	}
	if d.to == "-" && isTerminal(p.stdout) {
		return usage("gatehouse store export-django --to users.json", "password hashes are not printed on a terminal; name a file")
	}
	return p.withStore(ctx, func(ctx context.Context, store *users.Store) error {
		act, err := p.act(eventExport)
		if err != nil {
			return err
		}
		all, err := store.Users(ctx)
		if err != nil {
			return act.end(err)
		}
		// Before anybody can read it: who takes hashes out must have been seen.
		if err := act.with("users", len(all)).end(nil); err != nil {
			return err
		}
		fixture := func(out io.Writer) error {
			return users.WriteDjango(out, all, users.DjangoExport{UserModel: d.userModel, Zone: zone})
		}
		if d.to == "-" {
			return fixture(p.stdout)
		}
		if err := replaceFile(d.to, fixture); err != nil {
			return failed(fmt.Errorf("%s cannot be written: %w", d.to, reason(err)), "name a file in a directory that you may write to")
		}
		_, err = fmt.Fprintf(p.stdout, "wrote %s to %s\n", count(len(all), "user"), d.to)
		return err
	})
}

// reason returns why a file could not be used, without its name.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// replaceFile writes a file whole or not at all: whoever reads it never finds half
// of it, and what was there before stays until the new one is on the disk.
func replaceFile(path string, fill func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := errors.Join(fill(file), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
