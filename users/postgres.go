package users

import (
	"cmp"
	"context"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// What holds for connections to PostgreSQL where nothing is said.
const (
	postgresConnections = 16
	postgresStatement   = 5 * time.Second
	postgresAcquire     = 2 * time.Second
	postgresConnect     = 3 * time.Second
	// postgresIdle ends a transaction whose process no longer says anything: its
	// locks must not keep the others waiting.
	postgresIdle = 30 * time.Second
	// postgresVersion is the oldest that is tried.
	postgresVersion = 130000
)

// changesChannel is where triggers say that the feed has grown, with the schema of
// their tables.
const changesChannel = "gatehouse_changes"

func (cfg Config) compilePostgres() (dialect, error) {
	var faults []error
	fault := func(at, problem, fix string, cause error) {
		faults = append(faults, &Fault{At: at, Problem: problem, Fix: fix, Err: cause})
	}
	if cfg.MaxConnections != 0 && cfg.MaxConnections < 2 {
		fault("max_connections", fmt.Sprintf("%d connections are too few", cfg.MaxConnections), "write a number from 2 up", nil)
	}
	dsn := cfg.DSN
	if dsn == DefaultConfig().DSN {
		dsn = ""
	}
	conn, wrong := parsePostgres(dsn)
	if wrong != nil {
		faults = append(faults, wrong)
	}
	if len(faults) > 0 {
		return dialect{}, errors.Join(faults...)
	}
	return postgresDialect(cfg, conn), nil
}

// parsePostgres reads a dsn. The fault does not show it.
func parsePostgres(dsn string) (*pgx.ConnConfig, *Fault) {
	//nolint:gosec // an example
	const form = "write postgres://user:password@host:5432/database?sslmode=verify-full"
	switch {
	case dsn == "":
		return nil, &Fault{At: "dsn", Problem: "it is not said which PostgreSQL is meant", Fix: form}
	case !isPostgres(dsn) && !strings.Contains(dsn, "="):
		return nil, &Fault{At: "dsn", Problem: "the dsn is not one of PostgreSQL", Fix: form}
	}
	conn, err := pgx.ParseConfig(dsn)
	if err != nil {
		// Not the text of the error: it may show a password that is in the wrong place.
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, &Fault{At: "dsn", Problem: fmt.Sprintf("the dsn names the file %s, which cannot be read: %v", path.Path, path.Err), Fix: "create the file, or correct its path or rights", Err: err}
		}
		return nil, &Fault{At: "dsn", Problem: "the dsn cannot be read", Fix: form + "; in a URL, % : / ? # @ inside a password are written %25 %3A %2F %3F %23 %40"}
	}
	if conn.ConnectTimeout == 0 || conn.ConnectTimeout > time.Minute { // pgx waits two minutes
		conn.ConnectTimeout = postgresConnect
	}
	// A server that vanished is noticed after half a minute, also by who only listens.
	conn.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4,
	}}).DialContext
	if _, ok := conn.RuntimeParams["application_name"]; !ok {
		conn.RuntimeParams["application_name"] = "gatehouse"
	}
	return conn, nil
}

// shareTimeout lets every host of a dsn have its turn while somebody waits for a
// connection: the machine of the first one may be gone, and refuse nothing.
func shareTimeout(conn *pgx.ConnConfig, acquire time.Duration) {
	places := map[string]bool{net.JoinHostPort(conn.Host, strconv.Itoa(int(conn.Port))): true}
	for _, f := range conn.Fallbacks { // one host may be there twice, with and without TLS
		places[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	if n := len(places); n > 1 {
		conn.ConnectTimeout = min(conn.ConnectTimeout, acquire*9/10/time.Duration(n))
	}
}

// postgresPlace names a database for people.
func postgresPlace(conn *pgx.ConnConfig) string {
	return "PostgreSQL " + net.JoinHostPort(conn.Host, strconv.Itoa(int(conn.Port))) + "/" + conn.Database
}

func postgresDialect(cfg Config, conn *pgx.ConnConfig) dialect {
	statement := cmp.Or(cfg.StatementTimeout, postgresStatement)
	said := func(name, value string) {
		if _, ok := conn.RuntimeParams[name]; !ok {
			conn.RuntimeParams[name] = value
		}
	}
	said("statement_timeout", strconv.FormatInt(statement.Milliseconds(), 10))
	said("idle_in_transaction_session_timeout", strconv.FormatInt(postgresIdle.Milliseconds(), 10))
	// A server that was written to may have become a standby.
	if conn.ValidateConnect == nil {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	place := postgresPlace(conn)
	connections := &wires{}
	conn.DialFunc = connections.dial(conn.DialFunc)
	d := dialect{
		suspect: connections.cutIdle,
		place:   place,
		goose:   goose.DialectPostgres,
		schema:  "schema/postgres",
		options: postgresMigrations,
		prepare: func(ctx context.Context, logger *slog.Logger) error { warnOfPlainText(ctx, logger, conn); return nil },
		connect: func() (writer, reader *sql.DB, err error) {
			size := cmp.Or(cfg.MaxConnections, postgresConnections)
			// Two, so that a flood of logins does not keep requests from being forwarded.
			return postgresPool(conn, size-size/2), postgresPool(conn, size/2), nil
		},
		claim:      func(ctx context.Context, db *sql.DB) error { return claimPostgres(ctx, place, db) },
		explain:    func(err error) error { return explainPostgres(place, err) },
		unique:     func(err error) bool { return postgresCode(err) == "23505" },
		busy:       func(err error) bool { return postgresCode(err) == "57P03" || postgresCode(err) == "53300" },
		judge:      judgePostgres,
		isolation:  sql.LevelReadCommitted,
		snapshot:   sql.LevelRepeatableRead,
		last:       lastDjangoPostgres,
		forUpdate:  ` FOR NO KEY UPDATE`,
		forShare:   ` FOR SHARE`,
		skipLocked: ` FOR UPDATE SKIP LOCKED`,
		meanUsers: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `LOCK TABLE users, user_groups IN ROW EXCLUSIVE MODE`)
			return err
		},
		lockUsers: func(ctx context.Context, tx *sql.Tx) error {
			// It waits for those who write, and takes its time.
			_, err := tx.ExecContext(ctx, `SET LOCAL statement_timeout = 0; LOCK TABLE users, user_groups IN SHARE ROW EXCLUSIVE MODE`)
			return err
		},
		advance: func(ctx context.Context, tx *sql.Tx, id int64) error {
			var last int64
			return tx.QueryRowContext(ctx, `
				SELECT setval(pg_get_serial_sequence('users', 'id'), GREATEST(CAST($1 AS BIGINT),
					nextval(pg_get_serial_sequence('users', 'id')) - 1, 1))`, id).Scan(&last)
		},
		exchange: exchangePostgres,
		listen:   func(ctx context.Context, wake func()) error { return listenPostgres(ctx, conn, wake) },
	}
	d.migrator = func() (*sql.DB, error) {
		patient := conn.Copy()
		patient.RuntimeParams["statement_timeout"] = "0"
		return stdlib.OpenDB(*patient), nil
	}
	d.patience.acquire = cmp.Or(cfg.AcquireTimeout, postgresAcquire)
	shareTimeout(conn, d.patience.acquire)
	// Longer than a statement may take, so that the server says why.
	d.patience.call = d.patience.acquire + statement + time.Second
	return d
}

func postgresPool(conn *pgx.ConnConfig, size int) *sql.DB {
	db := stdlib.OpenDB(*conn)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	// So that connections find the servers of a cluster anew.
	db.SetConnMaxLifetime(30 * time.Minute)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// postgresMigrations keeps replicas that start at once from migrating at once. The
// others look every second whether the lock is free, for ten minutes.
func postgresMigrations() ([]goose.ProviderOption, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return nil, err
	}
	return []goose.ProviderOption{goose.WithSessionLocker(locker), goose.WithTableName(postgresVersions)}, nil
}

// warnOfPlainText tells of a connection that others may read or answer.
func warnOfPlainText(ctx context.Context, logger *slog.Logger, conn *pgx.ConnConfig) {
	ways := append([]*pgconn.FallbackConfig{{Host: conn.Host, TLSConfig: conn.TLSConfig}}, conn.Fallbacks...)
	ways = slices.DeleteFunc(ways, func(f *pgconn.FallbackConfig) bool {
		return strings.HasPrefix(f.Host, "/") || f.Host == "localhost" || net.ParseIP(f.Host).IsLoopback()
	})
	plain := slices.IndexFunc(ways, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
	blind := slices.IndexFunc(ways, func(f *pgconn.FallbackConfig) bool {
		return f.TLSConfig != nil && f.TLSConfig.InsecureSkipVerify && f.TLSConfig.VerifyPeerCertificate == nil && f.TLSConfig.VerifyConnection == nil
	})
	switch {
	case plain >= 0:
		logger.WarnContext(ctx, "the connection to the database may not be encrypted, and password hashes go over it; put sslmode=verify-full into the dsn",
			slog.String("host", ways[plain].Host))
	case blind >= 0:
		logger.WarnContext(ctx, "nobody looks whether it is the database that answers; put sslmode=verify-full into the dsn",
			slog.String("host", ways[blind].Host))
	}
}

// claimPostgres refuses a server that cannot be worked with, and a schema in which
// another program has tables of our names.
func claimPostgres(ctx context.Context, place string, db *sql.DB) error {
	var version int
	var encoding string
	var schema sql.Null[string]
	err := db.QueryRowContext(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_schema()`).Scan(&version, &encoding, &schema)
	if err != nil {
		return err
	}
	switch {
	case version < postgresVersion:
		return &Fault{At: "dsn", Problem: fmt.Sprintf("%s is older than version 13", place), Fix: "run PostgreSQL 13 or newer"}
	case encoding != "UTF8":
		return &Fault{At: "dsn", Problem: fmt.Sprintf("%s has the encoding %s", place, encoding), Fix: "create the database with ENCODING 'UTF8'"}
	case !schema.Valid:
		return &Fault{At: "dsn", Problem: place + " has no schema of the search path", Fix: "create it, with CREATE SCHEMA, or correct search_path in the dsn"}
	}
	var ours, may bool
	var theirs sql.Null[string]
	err = db.QueryRowContext(ctx, `
		SELECT to_regclass(quote_ident(current_schema()) || '.' || $1) IS NOT NULL,
			has_schema_privilege(current_schema(), 'CREATE'), (
			SELECT min(tablename) FROM pg_tables
			WHERE schemaname = current_schema() AND tablename IN ('users', 'user_groups', 'user_changes', 'sessions', 'tokens'))`,
		postgresVersions).Scan(&ours, &may, &theirs)
	switch {
	case err != nil || ours:
		return err
	case theirs.Valid:
		return &Fault{
			At:      "dsn",
			Problem: fmt.Sprintf("the schema %s of %s has a table %s of another program", schema.V, place, theirs.V),
			Fix:     "give gatehouse a database of its own, or a schema with ?search_path=NAME",
		}
	case !may:
		return &Fault{
			At:      "dsn",
			Problem: fmt.Sprintf("the user of the dsn may not make tables in the schema %s of %s", schema.V, place),
			Fix:     "make it the owner of the database, or grant CREATE and USAGE on the schema",
		}
	}
	return nil
}

// postgresVersions is the table in which the migrations are counted. It has a name of
// ours, because other programs of a database may count theirs in the usual one.
const postgresVersions = "gatehouse_schema"

// listenPostgres hears of changes on a connection of its own.
func listenPostgres(ctx context.Context, config *pgx.ConnConfig, wake func()) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	var schema string
	if err := conn.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `LISTEN `+changesChannel); err != nil {
		return err
	}
	wake() // for what came before
	for {
		notice, err := nextNotice(ctx, conn)
		if err != nil {
			return err
		}
		if notice.Payload == schema {
			wake()
		}
	}
}

// nextNotice waits for a notice. Where none comes it asks now and then whether the
// server is there: something between may have forgotten the connection, and keep the
// system from noticing.
func nextNotice(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	for {
		waiting, cancel := context.WithTimeout(ctx, listenCheck)
		notice, err := conn.WaitForNotification(waiting)
		cancel()
		if err == nil || ctx.Err() != nil || !pgconn.Timeout(err) {
			return notice, err
		}
		asking, cancel := context.WithTimeout(ctx, listenCheck)
		err = conn.Ping(asking)
		cancel()
		if err != nil {
			return nil, err
		}
	}
}

// listenCheck is how long nothing may be heard before it is asked, and how long the
// answer may take.
const listenCheck = 5 * time.Second

// judgePostgres says what is to be done about a failed transaction.
func judgePostgres(err error) verdict {
	code := postgresCode(err)
	switch {
	case code == "40001", code == "40P01": // serialization_failure, deadlock_detected
		return conflict
	case code == "57014", code == "55P03": // query_canceled by the timeout, lock_not_available
		return slow
	// The server is ending, starting, or has become a standby.
	case code == "57P01", code == "57P02", code == "57P03", code == "25006", code == "53300", strings.HasPrefix(code, "08"):
		return lost
	// It ended a transaction that was idle; out of memory or disk; damaged.
	case code == "25P03", strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"), strings.HasPrefix(code, "XX"):
		return slow
	case code != "":
		return final
	case errors.Is(err, errSlow), errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return slow
	case isLost(err):
		return lost
	}
	return final
}

// isLost tells whether err is of a connection, not of a statement.
func isLost(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// postgresMessage returns what the server says about an error.
func postgresMessage(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Message
	}
	return ""
}

// postgresCode returns the SQLSTATE, or "".
func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// explainPostgres says what to do about a cause that opening ran into.
func explainPostgres(place string, err error) error {
	if _, ok := errors.AsType[*Fault](err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	f := &Fault{At: "dsn", Err: err}
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, resolving := errors.AsType[*net.DNSError](err)
	switch code := postgresCode(err); {
	case code == "28P01", code == "28000":
		f.Problem, f.Fix = place+" refuses the user or the password", "correct the dsn, or give the user access (pg_hba.conf)"
	case code == "3D000":
		f.Problem, f.Fix = place+" does not exist", "create the database, with: createdb NAME"
	case code == "42501":
		f.Problem, f.Fix = "the user of the dsn may not make tables in "+place, "make it the owner of the database, or grant CREATE and USAGE on the schema"
	case code == "53300":
		f.Problem, f.Fix = place+" has no connection left", "raise max_connections of the server, or lower store.max_connections of each replica"
	case code == "57P03":
		f.Problem, f.Fix = place+" is starting or stopping", "wait for it"
	case strings.Contains(fmt.Sprint(err), "server refused TLS connection"):
		f.Problem, f.Fix = place+" offers no TLS, and the sslmode of the dsn wants it", "switch ssl on at the server; sslmode=disable only where nobody can listen"
	case authority, hostname:
		f.Problem, f.Fix = "the certificate of "+place+" is not accepted", "name its authority with sslrootcert in the dsn, and the host as in the certificate"
	case strings.Contains(fmt.Sprint(err), "remote error: tls"):
		f.Problem, f.Fix = place+" refuses the certificate of the dsn", "name one with sslcert and sslkey for which its ssl_ca_file vouches, and whose name is the user's"
	case resolving:
		f.Problem, f.Fix = "the host of "+place+" has no address", "correct the host in the dsn"
	case strings.Contains(fmt.Sprint(err), "read only connection"), code == "25006":
		f.Problem, f.Fix = place+" cannot be written: it is a standby", "name the primary in the dsn, or all servers: host=db1,db2"
	case judgePostgres(err) != final:
		f.Problem, f.Fix = place+" does not answer", "start it, or correct host and port in the dsn"
	case code != "":
		f.Problem, f.Fix = fmt.Sprintf("%s cannot be used: %v", place, err), "mend the cause, or name another database"
	default:
		// Not the text: it may show the dsn.
		f.Problem, f.Fix = place+" cannot be connected to", "correct the dsn; sslmode must be one that the server offers"
	}
	return f
}
