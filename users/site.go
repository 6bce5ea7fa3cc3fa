package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// SiteConfig is the section `store.users`: who the users are. Changing it needs a
// restart.
type SiteConfig struct {
	// Source is "own" (default), where users are kept in the store and made with
	// `gatehouse user` or an import, or "django", where they are read from the
	// database of a Django site, in which they are managed: whoever is disabled or
	// deleted there, gets another password or leaves a group, is so here after ten
	// seconds at most. Sessions and revoked tokens stay in the store. While that
	// database does not answer, nobody logs in, and after ten seconds nobody passes.
	Source string `mapstructure:"source" words:"own django"`
	// DSN is the database of the site: sqlite:///srv/site/db.sqlite3, the path alone,
	// or postgres://user:password@host/database?sslmode=verify-full. The user needs
	// SELECT on auth_user, auth_group and auth_user_groups and nothing more; a
	// standby will do, and is as late as it lags.
	DSN string `mapstructure:"dsn"`
	// DSNFile names a file that holds the DSN instead; the loader reads it.
	DSNFile string `mapstructure:"dsn_file"`
	// UserTable is the table of the users. Default: auth_user.
	UserTable string `mapstructure:"user_table"`
	// Columns names the columns that are called otherwise than in auth_user, such as
	// {username: email}; an empty name says that there is none. groups is the table
	// of the memberships, by default the table of the users with _groups.
	Columns map[string]string `mapstructure:"columns"`
	// TimeZone is TIME_ZONE of a site with USE_TZ = False. Default: UTC.
	TimeZone string `mapstructure:"time_zone"`
	// UpgradeHashes writes a hash of login.hashing.preferred over an outdated one when
	// its user logs in, which Django must be able to verify (PASSWORD_HASHERS).
	// Default false: nothing is written. Needs UPDATE on the column password.
	UpgradeHashes bool `mapstructure:"upgrade_hashes"`
	// LastLogin writes the moment of each login into the column last_login. Default
	// false: nothing is written. Needs UPDATE on that column.
	LastLogin bool `mapstructure:"last_login"`
}

// ErrManaged is that users are not made or changed here, because they are read from
// a Django site. Compare with errors.Is.
var ErrManaged = errors.New("users are managed in Django")

// How the database of a site is asked.
const (
	siteConnections = 8
	siteAcquire     = 2 * time.Second
	siteCall        = 4 * time.Second
	// A file that was replaced or removed is noticed when it is opened anew.
	siteReopen = 5 * time.Second
)

// compile returns the engine, or nil where users are the store's own.
func (cfg SiteConfig) compile() (*djangoEngine, DjangoReading, error) {
	var faults []error
	fault := func(at, problem, fix string, cause error) {
		faults = append(faults, &Fault{At: "users." + at, Problem: problem, Fix: fix, Err: cause})
	}
	how := DjangoReading{UserTable: cfg.UserTable, Columns: cfg.Columns}
	switch cfg.Source {
	case "", "own":
		for _, key := range []struct {
			name string
			said bool
		}{
			{"dsn", cfg.DSN != ""},
			{"user_table", cfg.UserTable != ""},
			{"columns", len(cfg.Columns) > 0},
			{"time_zone", cfg.TimeZone != ""},
			{"upgrade_hashes", cfg.UpgradeHashes},
			{"last_login", cfg.LastLogin},
		} {
			if key.said {
				fault(key.name, "this is for users of a Django site, and the source is the store itself", "write source: django, or delete the line", nil)
			}
		}
		return nil, how, errors.Join(faults...)
	case "django":
	default:
		fault("source", fmt.Sprintf("%q is no source of users", cfg.Source), "write own or django", nil)
		return nil, how, errors.Join(faults...)
	}
	if err := how.check(); err != nil {
		fault("columns", oneLine(err), err.(*DjangoError).Fix, nil) //nolint:errorlint,forcetypeassert // it is nothing else
	}
	for name, asked := range map[string]bool{"last_login": cfg.LastLogin} {
		if asked && how.column(name) == "" {
			fault(name, "the site has no such column, as columns says", "write last_login: false", nil)
		}
	}
	if cfg.TimeZone != "" {
		zone, err := time.LoadLocation(cfg.TimeZone)
		if err != nil || cfg.TimeZone == "Local" {
			fault("time_zone", fmt.Sprintf("there is no time zone %q here", cfg.TimeZone), "write it as TIME_ZONE in the site's settings, such as Europe/Berlin", err)
		}
		how.Zone = zone
	}
	var engine djangoEngine
	dsn := postgresURL(cfg.DSN)
	scheme, _, isURL := strings.Cut(dsn, "://")
	switch {
	case dsn == "":
		fault("dsn", "it is not said where the users of the site are", "write dsn: sqlite:///path or postgres://user@host/database, as DATABASES in its settings has it", nil)
	case isPostgres(dsn) || !isURL && strings.HasPrefix(dsn, "host="):
		conn, wrong := parsePostgres(dsn)
		if wrong != nil {
			fault("dsn", wrong.Problem, wrong.Fix, wrong.Err)
			break
		}
		if _, said := conn.RuntimeParams["statement_timeout"]; !said {
			conn.RuntimeParams["statement_timeout"] = fmt.Sprint(siteCall.Milliseconds())
		}
		shareTimeout(conn, siteAcquire)
		engine = djangoPostgres(conn)
	case isURL && scheme != "sqlite": // not shown: there may be a password in it
		fault("dsn", "users can be read from SQLite and PostgreSQL alone", "write sqlite:///path or postgres://user@host/database; from others they can be imported, with a dump", nil)
	default:
		path := strings.TrimPrefix(dsn, "sqlite://")
		if absolute, ok := strings.CutPrefix(path, "//"); ok {
			path = "/" + absolute
		}
		engine = djangoSQLite(path)
	}
	return &engine, how, errors.Join(faults...)
}

// site is the database of a Django site, from which users are read as they are asked
// for. It is safe for concurrent use.
type site struct {
	cfg    SiteConfig
	how    DjangoReading
	engine djangoEngine
	link   link
	writer *link // nil: nothing is ever written
	logger *slog.Logger

	folding folding  // which of them fold
	columns []string // of the users, that are read
	members struct { // which user is in which group; table "": nobody is in any
		table, user string
	}
}

// openSite connects, and looks whether all is there and may be read. The faults are
// of the section `store.users`.
func openSite(ctx context.Context, cfg SiteConfig, engine djangoEngine, how DjangoReading, logger *slog.Logger) (*site, error) {
	s := &site{cfg: cfg, how: how, engine: engine, logger: logger}
	open := func(write bool) (link, error) {
		db, err := engine.open(write)
		if err != nil {
			return link{}, err
		}
		db.SetMaxOpenConns(siteConnections)
		db.SetMaxIdleConns(siteConnections)
		db.SetConnMaxLifetime(siteReopen)
		if engine.remote {
			db.SetConnMaxLifetime(30 * time.Minute)
		}
		return link{pool: db, judge: judgeSite, patience: patience{acquire: siteAcquire, call: siteCall}}, nil
	}
	var err error
	if s.link, err = open(false); err != nil {
		return nil, s.fault(err)
	}
	if cfg.UpgradeHashes || cfg.LastLogin {
		writer, err := open(true)
		if err != nil {
			return nil, errors.Join(s.fault(err), s.close())
		}
		s.writer = &writer
	}
	if err := s.survey(ctx); err != nil {
		return nil, errors.Join(s.fault(err), s.close())
	}
	return s, nil
}

func (s *site) close() error {
	var faults []error
	for _, l := range []*link{&s.link, s.writer} {
		if l != nil && l.pool != nil {
			faults = append(faults, l.pool.Close())
		}
	}
	return errors.Join(faults...)
}

// fault explains what opening ran into.
func (s *site) fault(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	err = s.engine.explain(err)
	if d, ok := errors.AsType[*DjangoError](err); ok {
		fix := strings.NewReplacer("--user-table ", "user_table: ", "--column groups=TABLE", "columns: {groups: TABLE}",
			"--column groups=", `columns: {groups: ""}`, "--column NAME=THEIRS", "columns: {NAME: THEIRS}", "--column NAME=", `columns: {NAME: ""}`).Replace(d.Fix)
		return &Fault{At: "users.dsn", Problem: oneLine(d), Fix: fix, Err: err}
	}
	return &Fault{At: "users.dsn", Problem: fmt.Sprintf("the users of %s cannot be read: %v", s.engine.place, err), Fix: "mend the cause, or name another database", Err: err}
}

// judgeSite holds everything that is no answer for a database that does not answer.
func judgeSite(err error) verdict {
	if _, ok := errors.AsType[*DjangoError](err); ok || errors.Is(err, sql.ErrNoRows) || errors.Is(err, ErrNotFound) {
		return final
	}
	if code := sqliteCode(err) & 0xff; code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED {
		return conflict
	}
	if v := judgePostgres(err); v != final {
		return v
	}
	return slow
}

// survey looks for tables, columns and rights.
func (s *site) survey(ctx context.Context) error {
	err := s.read(ctx, func(ctx context.Context, d *djangoTables) (err error) {
		if s.columns, err = d.userColumns(ctx); err != nil {
			return err
		}
		if s.members.table, s.members.user, err = d.membership(ctx); err != nil {
			return err
		}
		_, err = s.find(ctx, d, "id", int64(0))
		return err
	})
	if err != nil || s.writer == nil {
		return err
	}
	var columns []string
	if s.cfg.UpgradeHashes {
		columns = append(columns, "password")
	}
	if s.cfg.LastLogin {
		columns = append(columns, "last_login")
	}
	return s.writer.transact(ctx, work{}, nil, func(ctx context.Context, tx *sql.Tx) error {
		for _, name := range columns {
			column := quoted(s.how.column(name))
			//nolint:gosec // names cannot be parameters; they are quoted, and exist
			statement := "UPDATE " + s.engine.table(s.table()) + " SET " + column + " = " + column + " WHERE " + quoted(s.how.column("id")) + " = $1"
			if _, err := tx.ExecContext(ctx, statement, int64(0)); err != nil {
				return djangoProblem(err, "grant UPDATE ("+s.how.column(name)+") on the table, make the file and its directory writable, or write upgrade_hashes: false and last_login: false",
					"the column %s of %s may not be written: %v", s.how.column(name), s.engine.place, err)
			}
		}
		return nil
	})
}

func (s *site) table() string {
	if s.how.UserTable != "" {
		return s.how.UserTable
	}
	return "auth_user"
}

// read runs do in a transaction that sees one moment and writes nothing.
func (s *site) read(ctx context.Context, do func(ctx context.Context, d *djangoTables) error) error {
	return s.link.transact(ctx, work{repeatable: true}, s.engine.begin, func(ctx context.Context, tx *sql.Tx) error {
		return do(ctx, newDjangoTables(s.engine, tx, s.how))
	})
}

// user returns the account of which a column of auth_user has that value, or
// ErrNotFound if none has, or several have.
func (s *site) user(ctx context.Context, by Column, value any) (User, error) {
	column := s.how.column(string(by))
	if column == "" {
		return User{}, ErrNotFound
	}
	var all []User
	err := s.read(ctx, func(ctx context.Context, d *djangoTables) (err error) {
		all, err = s.find(ctx, d, column, value)
		return err
	})
	if refused, ok := errors.AsType[*DjangoError](err); ok {
		s.logger.ErrorContext(ctx, "a user of the site cannot be taken and is refused", slog.String("problem", oneLine(refused)))
		return User{}, ErrNotFound
	}
	switch {
	case err != nil:
		return User{}, fmt.Errorf("%w: %w", errSite, err)
	case len(all) != 1:
		return User{}, ErrNotFound
	}
	return all[0], nil
}

// find reads the accounts of which a column has that value, two at the most.
func (s *site) find(ctx context.Context, d *djangoTables, column string, value any) ([]User, error) {
	type found struct {
		id  int64
		row map[string]any
	}
	var rows []found
	id := s.how.column("id")
	where := " WHERE " + quoted(column) + " = $1 LIMIT 2"
	err := d.eachWhere(ctx, s.table(), s.columns, where, []any{value}, func(row map[string]any) {
		n, _ := asNumber(row[id])
		rows = append(rows, found{n, row})
	})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		rows = []found{} // the rights on the groups are looked at all the same
	}
	for _, one := range append(rows, found{})[:max(1, len(rows))] {
		names, err := s.groups(ctx, d, one.id)
		if err != nil {
			return nil, err
		}
		if one.row != nil {
			d.user(fmt.Sprintf("%s %v", s.table(), one.id), one.row, names)
		}
	}
	site, err := d.finish()
	if err != nil {
		return nil, err
	}
	return site.users, nil
}

func (s *site) groups(ctx context.Context, d *djangoTables, user int64) ([]djangoRef, error) {
	if s.members.table == "" {
		return nil, nil
	}
	names, err := d.texts(ctx, "SELECT g.name FROM "+s.engine.table("auth_group")+" g JOIN "+s.engine.table(s.members.table)+
		" m ON m.group_id = g.id WHERE m."+quoted(s.members.user)+" = $1", user)
	refs := make([]djangoRef, len(names))
	for i, name := range names {
		refs[i] = djangoRef{name: name}
	}
	return refs, err
}

// users returns all accounts, ordered by name.
func (s *site) users(ctx context.Context) ([]User, error) {
	var all []User
	err := s.link.transact(ctx, work{repeatable: true, long: true}, s.engine.begin, func(ctx context.Context, tx *sql.Tx) error {
		d := newDjangoTables(s.engine, tx, s.how)
		if err := d.everybody(ctx); err != nil {
			return err
		}
		site, err := d.finish()
		if err == nil {
			all = site.users
		}
		return err
	})
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(a.Username, b.Username) })
	return all, err
}

// replaceHash writes a new hash over the old one, or answers ErrNotFound if that is
// not there any more.
func (s *site) replaceHash(ctx context.Context, u User, encoded string) error {
	return s.write(ctx, "password", " AND "+quoted(s.how.column("password"))+" = $3", encoded, u.ID, u.Password)
}

// noteLogin writes the moment of a login, unless a later one is there.
func (s *site) noteLogin(ctx context.Context, id int64, at time.Time) error {
	column := quoted(s.how.column("last_login"))
	text := s.engine.moment(at, s.how.Zone)
	err := s.write(ctx, "last_login", " AND ("+column+" IS NULL OR "+column+" < $1)", text, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *site) write(ctx context.Context, name, and string, args ...any) error {
	//nolint:gosec // names cannot be parameters; they are quoted, and exist
	statement := "UPDATE " + s.engine.table(s.table()) + " SET " + quoted(s.how.column(name)) + " = $1 WHERE " + quoted(s.how.column("id")) + " = $2" + and
	return s.writer.transact(ctx, work{}, nil, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNotFound)
		}
		return nil
	})
}
