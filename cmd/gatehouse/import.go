package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/users"
)

// importCommand is the way in from other programs.
func (p *program) importCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Take over the users of a Django site"}
	group(cmd)
	cmd.AddCommand(p.importDjango())
	return cmd
}

// djangoImport are the flags of one import.
type djangoImport struct {
	from      string
	settings  string
	fromFile  string
	dryRun    bool
	tokens    bool
	userTable string
	userModel string
	columns   []string
	zone      string
	check     string
	stdin     bool
	asJSON    bool
}

func (p *program) importDjango() *cobra.Command {
	var d djangoImport
	cmd := p.configured(&cobra.Command{
		Use:   "django --from SOURCE | --settings FILE",
		Short: "Import users, groups and password hashes from Django, or print its settings",
		Long: `Reads the users of a Django site and writes them into the store, all or none,
with their ids, hashes, dates and groups. SOURCE is

  sqlite:///srv/site/db.sqlite3   the site's database, which is only read
  postgres://user@host/database   the same; its password from PGPASSWORD, from
                                  ~/.pgpass, or with the URL in --from-file
  dump.json                       what manage.py dumpdata auth.group auth.user wrote,
                                  from whatever database; - is standard input

A second run changes nothing but what has changed in Django. A user whose name
or id belongs to somebody else here is a conflict: nothing is written.

With --settings it imports nobody, and prints the configuration that equals the
SIMPLE_JWT of a site, which FILE holds as JSON; docs/django.md has the line that
writes it. What has no equal is warned about.`,
		Example: `  gatehouse import django --from sqlite:///srv/site/db.sqlite3 --dry-run
  gatehouse import django --from 'postgres://site@db/site?sslmode=verify-full' --dry-run
  gatehouse import django --from dump.json --with-tokens --check alice
  gatehouse import django --from dump.json --user-model shop.customer --column username=email --column groups=
  gatehouse import django --settings simple_jwt.json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.settings == "" {
				return p.runImport(cmd.Context(), d)
			}
			for _, other := range []string{"from", "from-file", "dry-run", "with-tokens", "user-table", "user-model", "column", "time-zone", "check", "password-stdin", "json"} {
				if cmd.Flags().Changed(other) {
					return usage("gatehouse import django --settings "+d.settings, "--settings prints a configuration and imports nobody, so --%s has nothing to do", other)
				}
			}
			return p.printSettings(d.settings)
		},
	})
	f := cmd.Flags()
	f.StringVar(&d.from, "from", "", "`SOURCE`: sqlite:///path, postgres://user@host/database, a file that dumpdata wrote, or - for standard input")
	f.StringVar(&d.fromFile, "from-file", "", "`FILE` that holds the SOURCE, for one with a password, which others could read among the arguments")
	f.StringVar(&d.settings, "settings", "", "print the configuration that equals the SIMPLE_JWT of a site, which `FILE` holds as JSON, or - for standard input")
	f.BoolVar(&d.dryRun, "dry-run", false, "say what would be done and keep nothing")
	f.BoolVar(&d.tokens, "with-tokens", false, "take over refresh tokens too, so that what was revoked stays revoked")
	f.StringVar(&d.userTable, "user-table", "", "`TABLE` of the users in a database (default auth_user)")
	f.StringVar(&d.userModel, "user-model", "", "`MODEL` of the users in a dump (default auth.user)")
	f.StringArrayVar(&d.columns, "column", nil, "`NAME=THEIRS`: a column of auth_user that is called otherwise; NAME= if there is none; may be repeated")
	f.StringVar(&d.zone, "time-zone", "", "`ZONE` of times that name none: TIME_ZONE of a site with USE_TZ = False (default UTC)")
	f.StringVar(&d.check, "check", "", "ask for the password of user `NAME` and hold it against the hash, before anything is written")
	f.BoolVar(&d.stdin, "password-stdin", false, "read the password for --check from standard input instead of asking")
	jsonFlag(cmd, &d.asJSON)
	return cmd
}

// importHelp is where wrong usage is sent.
const importHelp = "gatehouse import django --help"

func (p *program) runImport(ctx context.Context, d djangoImport) error {
	how, err := d.reading()
	if err != nil {
		return err
	}
	switch {
	case d.from != "" && d.fromFile != "":
		return usage(importHelp, "--from and --from-file name two sources; keep one of them")
	case d.fromFile != "":
		content, err := os.ReadFile(d.fromFile)
		if err != nil {
			return usage("name a file that holds the source", "%s cannot be read: %v", d.fromFile, reason(err))
		}
		d.from, d.fromFile = strings.TrimSpace(string(content)), ""
		return p.runImport(ctx, d)
	case d.from == "":
		return usage("gatehouse import django --from dump.json", "there is no source; name one with --from")
	case d.stdin && d.check == "":
		return usage("add --check NAME", "--password-stdin is there for --check, which is missing")
	case d.stdin && d.from == "-":
		return usage("name the file of the dump", "standard input cannot be both the dump and the password")
	}
	return p.withStoreOf(ctx, func(ctx context.Context, store *users.Store, _ *config.Loaded) error {
		if store.Managed() {
			return failed(errors.New("the users are read from the site as they are asked for (store.users), and are not imported"), "write store.users.source: own, and import then")
		}
		progress := newProgress(p.stderr)
		how.Progress = func(rows int) { progress.show("reading", rows, 0) }
		site, err := p.readDjango(ctx, d.from, how)
		progress.clear()
		if err != nil {
			return refused(err, "nothing was imported")
		}
		if d.check != "" {
			if err := p.checkPassword(ctx, store, site, d); err != nil {
				return err
			}
		}
		act, err := p.act(eventImport)
		if err != nil {
			return err
		}
		report, err := store.ImportDjango(ctx, site, users.DjangoImport{
			DryRun:   d.dryRun,
			Progress: func(done, all int) { progress.show("writing", done, all) },
		})
		progress.clear()
		if !d.dryRun {
			err = act.imported(report).end(err)
		}
		if err != nil {
			return refused(err, "nothing was imported")
		}
		if d.asJSON {
			return p.printJSON(report)
		}
		return p.tellImport(report)
	}, d.dryRun)
}

// reading turns the flags into what the store wants to know.
func (d djangoImport) reading() (users.DjangoReading, error) {
	how := users.DjangoReading{UserTable: d.userTable, UserModel: d.userModel, Tokens: d.tokens, Columns: map[string]string{}}
	for _, pair := range d.columns {
		name, theirs, ok := strings.Cut(pair, "=")
		if _, twice := how.Columns[name]; !ok || name == "" || twice {
			return how, usage(importHelp, "--column %q is not NAME=THEIRS, or names a column a second time", pair)
		}
		how.Columns[name] = theirs
	}
	zone, err := timeZone(d.zone)
	how.Zone = zone
	return how, err
}

// timeZone returns the zone of that name; nil if there is none to be named.
func timeZone(name string) (*time.Location, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no zone is a choice
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, usage("write it as TIME_ZONE in the site's settings, such as Europe/Berlin", "there is no time zone %q here", name)
	}
	return zone, nil
}

// sqliteMagic is how every SQLite file begins.
const sqliteMagic = "SQLite format 3\x00"

// readDjango reads the source that --from names.
func (p *program) readDjango(ctx context.Context, from string, how users.DjangoReading) (*users.DjangoSite, error) {
	scheme, rest, isURL := strings.Cut(from, "://")
	switch {
	case isURL && scheme == "sqlite":
		path, err := sqlitePath(rest)
		if err != nil {
			return nil, err
		}
		return users.ReadDjangoSQLite(ctx, path, how)
	case isURL && slices.Contains([]string{"postgres", "postgresql", "postgis", "psql", "pgsql"}, scheme):
		return users.ReadDjangoPostgres(ctx, from, how)
	case isURL:
		// Only the scheme is shown: there is a password in the rest.
		return nil, usage("write a dump on the site: manage.py dumpdata auth.group auth.user --output dump.json; then: gatehouse import django --from dump.json",
			"a source %s:// cannot be read; a dump works for every database", scheme)
	case from == "-":
		return users.ReadDjangoDump(ctx, p.stdin, how)
	}
	file, err := os.Open(from)
	if err != nil {
		return nil, cannotOpen(from, err)
	}
	defer func() { _ = file.Close() }()
	in := bufio.NewReader(file)
	start, err := in.Peek(len(sqliteMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, cannotOpen(from, err)
	}
	if bytes.Equal(start, []byte(sqliteMagic)) {
		return users.ReadDjangoSQLite(ctx, from, how)
	}
	return users.ReadDjangoDump(ctx, in, how)
}

func cannotOpen(path string, err error) error {
	return &users.DjangoError{
		Problems: []string{fmt.Sprintf("%s cannot be read: %v", path, reason(err))},
		Fix:      "name a file that dumpdata wrote, sqlite:///path, or postgres://user@host/database",
		Err:      err,
	}
}

// sqlitePath returns the file that follows sqlite://. In the settings of Django
// sites three slashes begin a relative path and four an absolute one; elsewhere
// three begin an absolute one. Whichever file exists is meant.
func sqlitePath(rest string) (string, error) {
	if absolute, ok := strings.CutPrefix(rest, "//"); ok {
		return "/" + absolute, nil
	}
	relative, ok := strings.CutPrefix(rest, "/")
	if !ok || relative == "" {
		return rest, nil
	}
	if !exists(relative) {
		return rest, nil
	}
	if exists(rest) {
		same, err := filepath.Abs(relative)
		if err != nil || same != filepath.Clean(rest) {
			return "", usage("write sqlite:///"+rest+", or the plain path "+relative, "sqlite://%s may be %s or %s, and both exist", rest, rest, relative)
		}
	}
	return relative, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// checkPassword asks for one password and holds it against the hash that was read.
func (p *program) checkPassword(ctx context.Context, store *users.Store, site *users.DjangoSite, d djangoImport) error {
	all := site.Users()
	at := slices.IndexFunc(all, func(u users.User) bool { return u.Username == d.check })
	if at < 0 {
		return failed(fmt.Errorf("the site has no user %q, so nothing was imported", d.check), "")
	}
	plain, err := p.onePassword(ctx, d.stdin, d.from == "-")
	if err != nil {
		return err
	}
	match, err := store.Matches(ctx, all[at], plain)
	if err != nil {
		return err
	}
	if !match {
		return failed(fmt.Errorf("this is not the password of %q, or its hash is of a kind that is not verified; nothing was imported", d.check),
			"gatehouse import django --dry-run names the hashes that are not verified")
	}
	state := ""
	if !all[at].IsActive {
		state = ", but the account is disabled"
	}
	_, err = fmt.Fprintf(p.stderr, "this is the password of %s%s\n", strings.Map(visible, all[at].String()), state)
	return err
}

// onePassword gets a password that is known already, so it is asked for once.
func (p *program) onePassword(ctx context.Context, stdin, stdinTaken bool) (string, error) {
	if stdin {
		return readPassword(p.stdin)
	}
	terminal, ok := p.stdin.(*os.File)
	if !ok || stdinTaken || !isTerminal(terminal) {
		return "", usage("name the dump by its file, add --password-stdin, and pipe the password in", "there is no terminal to ask for a password on")
	}
	plain, err := p.ask(ctx, terminal, "Password: ")
	if err == nil && plain == "" {
		err = errEmptyPassword
	}
	return plain, err
}

// shownAtMost is how many lines of one kind are printed.
const shownAtMost = 20

// refused makes a failure of what the room of the users says about a site.
func refused(err error, consequence string) error {
	refusal, ok := errors.AsType[*users.DjangoError](err)
	if !ok {
		return err
	}
	lines := make([]string, len(refusal.Problems))
	for i, problem := range refusal.Problems {
		lines[i] = strings.Map(visible, problem)
	}
	if len(lines) == 1 {
		return failed(fmt.Errorf("%s, so %s", lines[0], consequence), refusal.Fix)
	}
	text := fmt.Sprintf("%s, for %d reasons:", consequence, len(lines))
	for _, line := range lines[:min(len(lines), shownAtMost)] {
		text += "\n  " + line
	}
	if more := len(lines) - shownAtMost; more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return failed(errors.New(text), refusal.Fix)
}

// tellImport prints the summary; what someone should know goes to stderr.
func (p *program) tellImport(r users.DjangoReport) error {
	p.list("warning: ", r.Warnings)
	var locked []string
	for _, u := range r.Locked {
		locked = append(locked, fmt.Sprintf("user %q (%d) cannot log in before it has a new password: its hash is %s, which is not verified", u.Username, u.ID, u.Algorithm))
	}
	p.list("warning: ", locked)
	var updated []string
	for _, u := range r.Updated {
		updated = append(updated, fmt.Sprintf("user %q (%d): %s", u.Username, u.ID, strings.Join(u.Fields, ", ")))
	}
	p.list("updated: ", updated)
	all := r.Users.Created + r.Users.Updated + r.Users.Unchanged
	rows := [][]string{
		{"groups", thousands(r.Groups), fmt.Sprintf("with %s memberships", thousands(r.Memberships))},
	}
	if t := r.Tokens; t.Created+t.Updated+t.Unchanged+t.Expired > 0 {
		rows = append(rows, []string{"tokens", thousands(t.Created + t.Updated + t.Unchanged), fmt.Sprintf(
			"%s created, %s updated, %s unchanged; %s are revoked; %s expired and left out",
			thousands(t.Created), thousands(t.Updated), thousands(t.Unchanged), thousands(t.Revoked), thousands(t.Expired))})
	}
	for _, algorithm := range slices.Sorted(maps.Keys(r.Hashes)) {
		rows = append(rows, []string{"hashes", thousands(r.Hashes[algorithm]), algorithm})
	}
	heading := []string{"users", thousands(all), fmt.Sprintf("%s created, %s updated, %s unchanged",
		thousands(r.Users.Created), thousands(r.Users.Updated), thousands(r.Users.Unchanged))}
	if err := table(p.stdout, heading, rows); err != nil {
		return err
	}
	end := "imported"
	switch {
	case !r.Changed():
		end = "everything was here already; nothing was changed"
	case r.DryRun:
		end = "this was a dry run; nothing was changed"
	}
	_, err := fmt.Fprintln(p.stdout, end)
	return err
}

// list prints some lines of one kind, and how many more there are.
func (p *program) list(prefix string, lines []string) {
	for _, line := range lines[:min(len(lines), shownAtMost)] {
		fmt.Fprintln(p.stderr, prefix+strings.Map(visible, line))
	}
	if more := len(lines) - shownAtMost; more > 0 {
		fmt.Fprintf(p.stderr, "%sand %s more; --json lists all\n", prefix, thousands(more))
	}
}

// thousands writes a number with commas, as 10,000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// progress tells a person at a terminal how far long work is. What takes less than
// a second is not spoken of.
type progress struct {
	out   io.Writer // nil: nobody looks
	next  time.Time
	drawn bool
}

func newProgress(stderr io.Writer) *progress {
	b := &progress{next: time.Now().Add(time.Second)}
	if isTerminal(stderr) {
		b.out = stderr
	}
	return b
}

// show draws over what was drawn before, some times a second; all = 0: not known.
func (b *progress) show(doing string, done, all int) {
	if b.out == nil || time.Now().Before(b.next) {
		return
	}
	b.next, b.drawn = time.Now().Add(100*time.Millisecond), true
	if all == 0 {
		fmt.Fprintf(b.out, "\r\x1b[K%s: %s rows", doing, thousands(done))
		return
	}
	const width = 30
	full := width * done / all
	fmt.Fprintf(b.out, "\r\x1b[K%s: [%s%s] %s of %s users", doing, strings.Repeat("#", full), strings.Repeat(".", width-full), thousands(done), thousands(all))
}

func (b *progress) clear() {
	if b.drawn {
		fmt.Fprint(b.out, "\r\x1b[K")
		b.drawn = false
	}
}
