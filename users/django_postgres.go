package users

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// ReadDjangoPostgres reads the PostgreSQL database of a site, all of it at one
// moment, while the site may go on. It cannot write there, and a standby is as good.
// The dsn is as in [Config], or begins with postgis://, as in the settings of a site.
// What is wrong with it or with the data comes as one [*DjangoError], without a
// password.
func ReadDjangoPostgres(ctx context.Context, dsn string, how DjangoReading) (*DjangoSite, error) {
	if err := how.check(); err != nil {
		return nil, err
	}
	conn, fault := parsePostgres(postgresURL(dsn))
	if fault != nil {
		return nil, djangoProblem(fault.Err, fault.Fix, "%s", fault.Problem)
	}
	conn.RuntimeParams["statement_timeout"] = "0"
	return readDjango(ctx, djangoPostgres(conn), how)
}

// postgresURL takes the names that Django's settings have for PostgreSQL.
func postgresURL(dsn string) string {
	scheme, rest, ok := strings.Cut(dsn, "://")
	switch scheme {
	case "postgis", "psql", "pgsql":
		return "postgres://" + rest
	}
	if !ok {
		return dsn
	}
	return scheme + "://" + rest
}

func djangoPostgres(conn *pgx.ConnConfig) djangoEngine {
	place := postgresPlace(conn)
	return djangoEngine{
		place:  place,
		rename: "name the site's database (DATABASES in its settings), and its schema with ?search_path=NAME",
		open: func(write bool) (*sql.DB, error) {
			config := conn.Copy()
			if !write {
				config.RuntimeParams["default_transaction_read_only"] = "on"
			}
			return stdlib.OpenDB(*config), nil
		},
		remote: true,
		// Django's columns have a zone there, also with USE_TZ = False.
		moment: func(at time.Time, _ *time.Location) string {
			return at.UTC().Format("2006-01-02 15:04:05.000000Z07:00")
		},
		begin:  &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		table:  quotedPath,
		asked:  quotedPath,
		column: quoted,
		columns: `
			SELECT attname::text FROM pg_attribute
			WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
		users: `
			SELECT c.oid::regclass::text FROM pg_class c
			WHERE c.relkind IN ('r', 'p', 'v') AND has_schema_privilege(c.relnamespace, 'USAGE')
				AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'password')
				AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'last_login')
			ORDER BY 1`,
		last:    lastDjangoPostgres,
		explain: func(err error) error { return explainDjangoPostgres(place, err) },
	}
}

// quotedPath quotes a table, which may stand behind its schema.
func quotedPath(name string) string {
	schema, table, ok := strings.Cut(name, ".")
	if !ok {
		return quoted(name)
	}
	return quoted(schema) + "." + quoted(table)
}

// lastDjangoPostgres reads the sequence of a column, if there is one and it may be read.
func lastDjangoPostgres(ctx context.Context, tx *sql.Tx, table, id string) (any, error) {
	var last sql.Null[int64]
	err := tx.QueryRowContext(ctx, `
		SELECT s.last_value FROM pg_sequences s
		WHERE pg_get_serial_sequence($1, $2)::regclass = (quote_ident(s.schemaname) || '.' || quote_ident(s.sequencename))::regclass`,
		quotedPath(table), id).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !last.Valid {
		return nil, nil
	}
	return last.V, err
}

func explainDjangoPostgres(place string, err error) error {
	if _, ok := errors.AsType[*DjangoError](err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	switch postgresCode(err) {
	case "42501":
		return djangoProblem(err, "grant SELECT on auth_user, auth_group, auth_user_groups, and on the token_blacklist tables if they are to be read",
			"the user of the dsn may not read it in %s: %s", place, postgresMessage(err))
	case "40001": // a standby that must go on
		return djangoProblem(err, "read it again, or read the primary", "%s could not keep what is read: %s", place, postgresMessage(err))
	case "3D000":
		return djangoProblem(err, "name the site's database (DATABASES in its settings)", "%s does not exist", place)
	}
	if fault, ok := errors.AsType[*Fault](explainPostgres(place, err)); ok {
		return djangoProblem(err, fault.Fix, "%s", fault.Problem)
	}
	return err
}
