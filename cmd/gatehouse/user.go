package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/users"
	"gatehouse/users/password"
)

// userCommand is everything about accounts. It works on the store itself, beside a
// running server, which sees a change within about a second.
func (p *program) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add, list, change and remove users",
		Long: `Works on the database that store.dsn names. A running server need not be
stopped: it sees a change within about a second.`,
	}
	group(cmd)
	cmd.AddCommand(p.userAdd(), p.userList(), p.userShow(), p.userSet(), p.userPasswd(),
		p.userActive("enable", "Let a user in again", true),
		p.userActive("disable", "Shut a user out: logins, and tokens that are out", false),
		p.userDelete(), p.userSessions(), p.userLogout(), p.userUnlock())
	return cmd
}

// account are the flags that say what a user is like.
type account struct {
	email, firstName, lastName, username string
	groups, removeGroups                 []string
	staff, superuser                     bool
	attributes, removeAttributes         []string
}

func (a *account) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.email, "email", "", "email `ADDRESS`")
	cmd.Flags().StringVar(&a.firstName, "first-name", "", "first `NAME`")
	cmd.Flags().StringVar(&a.lastName, "last-name", "", "last `NAME`")
	cmd.Flags().StringArrayVar(&a.groups, "group", nil, "`GROUP` to be in; may be repeated")
	cmd.Flags().StringArrayVar(&a.attributes, "attribute", nil, "attribute as `NAME=TEXT`, for tokens.claims; may be repeated")
	cmd.Flags().BoolVar(&a.staff, "staff", false, "Django's is_staff")
	cmd.Flags().BoolVar(&a.superuser, "superuser", false, "Django's is_superuser")
}

func (p *program) userAdd() *cobra.Command {
	var a account
	var stdin, asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:   "add NAME",
		Short: "Add a user; asks for the password",
		Args:  oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			attributes, err := a.attributeMap(cmd)
			if err != nil {
				return err
			}
			return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
				// Before the password is asked for: nobody likes to type twice for nothing.
				if store.Managed() {
					return explain(users.ErrManaged, args[0])
				}
				if _, err := store.UserByName(ctx, args[0]); err == nil {
					return explain(users.ErrExists, args[0])
				}
				plain, err := p.password(ctx, stdin)
				if err != nil {
					return err
				}
				act, err := p.act(eventUserCreate)
				if err != nil {
					return err
				}
				user, err := store.CreateUser(ctx, users.NewUser{
					Username: args[0], Password: plain, Email: a.email, FirstName: a.firstName, LastName: a.lastName,
					Groups: a.groups, Staff: a.staff, Superuser: a.superuser, Attributes: attributes,
				})
				if err := act.on(user).with("groups", user.Groups).end(err); err != nil {
					return explain(err, args[0])
				}
				return p.report(asJSON, user, "added")
			})
		},
	})
	a.flags(cmd)
	stdinFlag(cmd, &stdin)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (p *program) userList() *cobra.Command {
	var asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:   "list",
		Short: "List all users",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
				all, err := store.Users(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return p.printJSON(append([]users.User{}, all...))
				}
				rows := make([][]string, 0, len(all))
				for _, user := range all {
					rows = append(rows, []string{
						user.Username, user.Email, strings.Join(user.Groups, ", "),
						yes(user.IsActive), yes(user.IsStaff), yes(user.IsSuperuser), moment(user.LastLogin),
					})
				}
				return table(p.stdout, []string{"NAME", "EMAIL", "GROUPS", "ACTIVE", "STAFF", "SUPERUSER", "LAST LOGIN"}, rows)
			})
		},
	})
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (p *program) userShow() *cobra.Command {
	var asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:               "show NAME",
		Short:             "Show one user",
		Args:              oneName,
		ValidArgsFunction: p.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
				user, err := store.UserByName(ctx, args[0])
				if err != nil {
					return explain(err, args[0])
				}
				if asJSON {
					return p.printJSON(user)
				}
				algorithm, ok := password.Identify(user.Password)
				if !ok {
					algorithm = "none: cannot log in"
				}
				rows := [][]string{
					{"id", fmt.Sprint(user.ID)},
					{"email", user.Email},
					{"first name", user.FirstName},
					{"last name", user.LastName},
					{"groups", strings.Join(user.Groups, ", ")},
					{"active", yes(user.IsActive)},
					{"staff", yes(user.IsStaff)},
					{"superuser", yes(user.IsSuperuser)},
					{"joined", moment(user.DateJoined)},
					{"last login", moment(user.LastLogin)},
					{"password", algorithm},
				}
				for _, name := range slices.Sorted(maps.Keys(user.Attributes)) {
					rows = append(rows, []string{"attribute " + name, user.Attributes[name]})
				}
				return table(p.stdout, []string{"name", user.Username}, rows)
			})
		},
	})
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (p *program) userSet() *cobra.Command {
	var a account
	var asJSON bool
	cmd := p.configured(&cobra.Command{
		Use:   "set NAME",
		Short: "Change what is known of a user",
		Example: `  gatehouse user set alice --group support --remove-group staff
  gatehouse user set alice --email alice@example.com --staff=false
  gatehouse user set alice --attribute department=emea --remove-attribute desk`,
		Args:              oneName,
		ValidArgsFunction: p.completeUser,
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := a.change(cmd)
		if err != nil {
			return err
		}
		if change == nil {
			return usage(cmd.CommandPath()+" --help", "nothing to change was given for %q", args[0])
		}
		return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
			user, err := p.updateUser(ctx, store, args[0], *change)
			if err != nil {
				return explain(err, args[0])
			}
			return p.report(asJSON, user, "changed")
		})
	}
	a.flags(cmd)
	cmd.Flags().StringArrayVar(&a.removeGroups, "remove-group", nil, "`GROUP` to leave; may be repeated")
	cmd.Flags().StringArrayVar(&a.removeAttributes, "remove-attribute", nil, "`NAME` of an attribute to take away; may be repeated")
	cmd.Flags().StringVar(&a.username, "name", "", "new `NAME` to log in with")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// change is what the flags say; nil: nothing.
func (a *account) change(cmd *cobra.Command) (*users.Change, error) {
	attributes, err := a.attributeMap(cmd)
	if err != nil {
		return nil, err
	}
	change := &users.Change{AddGroups: a.groups, RemoveGroups: a.removeGroups, SetAttributes: attributes, RemoveAttributes: a.removeAttributes}
	said := len(a.groups)+len(a.removeGroups)+len(attributes)+len(a.removeAttributes) > 0
	for flag, pointers := range map[string]struct {
		value  *string
		target **string
	}{
		"email": {&a.email, &change.Email}, "first-name": {&a.firstName, &change.FirstName},
		"last-name": {&a.lastName, &change.LastName}, "name": {&a.username, &change.Username},
	} {
		if cmd.Flags().Changed(flag) {
			*pointers.target, said = pointers.value, true
		}
	}
	if cmd.Flags().Changed("staff") {
		change.Staff, said = &a.staff, true
	}
	if cmd.Flags().Changed("superuser") {
		change.Superuser, said = &a.superuser, true
	}
	if !said {
		return nil, nil //nolint:nilnil // nothing is to be changed
	}
	return change, nil
}

// attributeMap reads what stands behind --attribute.
func (a *account) attributeMap(cmd *cobra.Command) (map[string]string, error) {
	all := make(map[string]string, len(a.attributes))
	for _, text := range a.attributes {
		name, value, ok := strings.Cut(text, "=")
		if _, twice := all[name]; !ok || twice {
			return nil, usage(cmd.CommandPath()+" --help", "--attribute %q is not NAME=TEXT with each name once", text)
		}
		all[name] = value
	}
	return all, nil
}

func (p *program) userPasswd() *cobra.Command {
	var stdin bool
	cmd := p.configured(&cobra.Command{
		Use:               "passwd NAME",
		Short:             "Set the password of a user; asks for it",
		Args:              oneName,
		ValidArgsFunction: p.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
				user, err := store.UserByName(ctx, args[0])
				if err != nil {
					return explain(err, args[0])
				}
				if store.Managed() {
					return explain(users.ErrManaged, args[0])
				}
				plain, err := p.password(ctx, stdin)
				if err != nil {
					return err
				}
				act, err := p.act(eventUserPassword)
				if err != nil {
					return err
				}
				if err := act.on(user).end(store.SetPassword(ctx, user.Username, plain)); err != nil {
					return explain(err, args[0])
				}
				return p.report(false, user, "changed the password of")
			})
		},
	})
	stdinFlag(cmd, &stdin)
	return cmd
}

func (p *program) userActive(word, short string, active bool) *cobra.Command {
	var asJSON, keep bool
	cmd := p.configured(&cobra.Command{
		Use:               word + " NAME",
		Short:             short,
		Args:              oneName,
		ValidArgsFunction: p.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
				event := eventUserEnable
				if !active {
					event = eventUserDisable
				}
				act, err := p.act(event)
				if err != nil {
					return err
				}
				user, err := store.UpdateUser(ctx, args[0], users.Change{Active: &active, KeepSessions: keep})
				if err := act.on(user).end(err); err != nil {
					return explain(err, args[0])
				}
				return p.report(asJSON, user, word+"d")
			})
		},
	})
	if !active {
		cmd.Flags().BoolVar(&keep, "keep-sessions", false, "leave tokens that are out alone, where tokens.accept_inactive lets them in")
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (p *program) userDelete() *cobra.Command {
	return p.configured(&cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a user for good; disable keeps the account",
		Args:              oneName,
		ValidArgsFunction: p.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, store *users.Store) error {
				user, err := store.UserByName(ctx, args[0])
				if err != nil {
					return explain(err, args[0])
				}
				act, err := p.act(eventUserDelete)
				if err != nil {
					return err
				}
				if err := act.on(user).end(store.DeleteUser(ctx, user.Username)); err != nil {
					return explain(err, args[0])
				}
				return p.report(false, user, "deleted")
			})
		},
	})
}

// withStore opens the store of the configuration for one command. The other
// sections are not looked at.
func (p *program) withStore(ctx context.Context, do func(context.Context, *users.Store) error) error {
	return p.withLoadedStore(ctx, func(ctx context.Context, store *users.Store, _ *config.Loaded) error { return do(ctx, store) })
}

// withLoadedStore is withStore for a command that goes by what the section login says.
func (p *program) withLoadedStore(ctx context.Context, do func(context.Context, *users.Store, *config.Loaded) error) error {
	return p.withStoreOf(ctx, do, false)
}

// withStoreOf opens the store of the configuration. To look alone, what is not there is
// not made: an empty one stands in for it, which is gone at the end.
func (p *program) withStoreOf(ctx context.Context, do func(context.Context, *users.Store, *config.Loaded) error, look bool) (err error) {
	loaded, err := p.load(nil, "store", "login", "audit")
	if loaded == nil {
		return err
	}
	if err := p.refuseStoreless(); err != nil {
		return err
	}
	loaded.Blame("store", users.Check(loaded.Store))
	hasher, err := password.New(loaded.Login.Hashing)
	loaded.Blame("login.hashing", err)
	loaded.Blame("audit", errors.Join(loaded.Audit.Check()...))
	p.loaded = loaded
	if err := loaded.Err(); err != nil {
		return err
	}
	if look && !users.Exists(loaded.Store) {
		dir, err := os.MkdirTemp("", "gatehouse-dry-run-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		loaded.Store.DSN = filepath.Join(dir, "empty.db")
	}
	store, err := users.Open(ctx, loaded.Store, users.Parts{Hasher: hasher, Logger: newLogger(p.stderr, slog.LevelWarn)})
	if err != nil {
		loaded.Blame("store", err)
		return failed(loaded.Err(), "")
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return do(ctx, store, loaded)
}

// explain turns what the store says into a sentence about the user of that name.
func explain(err error, name string) error {
	var fault *users.Fault
	switch {
	case errors.Is(err, users.ErrManaged):
		return failed(errors.New("the users are those of a Django site (store.users), and are managed there"), "the admin of the site, or: manage.py changepassword "+name)
	case errors.Is(err, users.ErrNotFound):
		return failed(fmt.Errorf("there is no user %q", name), "gatehouse user list")
	case errors.Is(err, users.ErrExists):
		return failed(fmt.Errorf("a user of that name exists already: %q", name), "gatehouse user show "+name)
	case errors.As(err, &fault):
		return failed(fmt.Errorf("%s: %w", fault.Field(), err), "")
	}
	return err
}

// report says what became of a user.
func (p *program) report(asJSON bool, user users.User, done string) error {
	if asJSON {
		return p.printJSON(user)
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s\n", done, strings.Map(visible, user.String()))
	return err
}

func stdinFlag(cmd *cobra.Command, stdin *bool) {
	cmd.Flags().BoolVar(stdin, "password-stdin", false, "read the password from standard input instead of asking")
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// moment is a time as a person reads it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04")
}
