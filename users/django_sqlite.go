package users

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"
)

// ReadDjangoSQLite reads the SQLite database of a site, all of it at one moment,
// while the site may go on. It cannot write there. What is wrong with the data
// comes as one [*DjangoError].
func ReadDjangoSQLite(ctx context.Context, path string, how DjangoReading) (*DjangoSite, error) {
	if err := how.check(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, djangoProblem(err, "name the file of the site's database (DATABASES in its settings)", "there is no database file %s", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: absolute, RawQuery: url.Values{
		"mode":    {"ro"},
		"_pragma": {"query_only(1)", "busy_timeout(10000)"},
	}.Encode()}).String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, nil) // one snapshot
	if err != nil {
		return nil, explainDjangoSQLite(path, err)
	}
	defer func() { _ = tx.Rollback() }()
	d := &djangoSQLite{djangoReader: newDjangoReader(how), tx: tx, table: how.UserTable}
	if d.table == "" {
		d.table = "auth_user"
	}
	if err := d.all(ctx); err != nil {
		return nil, explainDjangoSQLite(path, err)
	}
	return d.finish()
}

func explainDjangoSQLite(path string, err error) error {
	copied := "copy it with: sqlite3 " + path + " '.backup copy.sqlite3', and read the copy"
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_NOTADB:
		return djangoProblem(err, "name the file of the site's database, or a dump", "%s is not an SQLite database", path)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR:
		return djangoProblem(err, copied, "%s cannot be read: %v", path, err)
	case sqlite3.SQLITE_BUSY:
		return djangoProblem(err, copied, "%s is held by another process", path)
	case sqlite3.SQLITE_CORRUPT:
		return djangoProblem(err, "restore it from a backup", "%s is damaged: %v", path, err)
	}
	return err
}

// djangoSQLite reads the tables of a site.
type djangoSQLite struct {
	*djangoReader
	tx    *sql.Tx
	table string // of the users
}

func (d *djangoSQLite) all(ctx context.Context) error {
	columns, err := d.userColumns(ctx)
	if err != nil {
		return err
	}
	members, err := d.groups(ctx)
	if err != nil {
		return err
	}
	id := d.how.column("id")
	err = d.each(ctx, d.table, columns, func(row map[string]any) {
		n, _ := asNumber(row[id])
		d.user(fmt.Sprintf("%s %v", d.table, row[id]), row, members[n])
	})
	if err != nil {
		return err
	}
	if err := d.lastNumber(ctx); err != nil {
		return err
	}
	return d.readTokens(ctx)
}

// userColumns returns the columns to be read, after looking that they are there:
// SQLite takes an unknown name in quotes for a text.
func (d *djangoSQLite) userColumns(ctx context.Context) ([]string, error) {
	have, err := d.columns(ctx, d.table)
	if err != nil {
		return nil, err
	}
	if len(have) == 0 {
		fix := "name the file of the site's database"
		if others := d.userTables(ctx); len(others) > 0 {
			fix = "say which table has the users, such as --user-table " + others[0]
		}
		return nil, djangoProblem(nil, fix, "the database has no table %s", d.table)
	}
	var want, missing []string
	for _, name := range djangoColumns {
		column := d.how.column(name)
		switch {
		case column == "" || name == "groups" || slices.Contains(want, column):
		case !slices.Contains(have, column):
			missing = append(missing, missingColumn("the table "+d.table, "column", name, column))
		default:
			want = append(want, column)
		}
	}
	if len(missing) > 0 {
		return nil, &DjangoError{Problems: missing, Fix: whatIsMissing}
	}
	return want, nil
}

// columns returns the columns of a table or view; none if it is not there.
func (d *djangoSQLite) columns(ctx context.Context, table string) ([]string, error) {
	return d.texts(ctx, `SELECT name FROM pragma_table_info($1)`, table)
}

// userTables returns tables that look like one of a user model.
func (d *djangoSQLite) userTables(ctx context.Context) []string {
	names, _ := d.texts(ctx, `
		SELECT t.name FROM sqlite_schema t
		WHERE t.type = 'table'
			AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) c WHERE c.name = 'password')
			AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) c WHERE c.name = 'last_login')
		ORDER BY t.name`)
	return names
}

func (d *djangoSQLite) texts(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := d.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var texts []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}

// each calls do with every row of a table.
func (d *djangoSQLite) each(ctx context.Context, table string, columns []string, do func(row map[string]any)) error {
	expressions := make([]string, len(columns))
	for i, column := range columns {
		// The plus takes the declared type away, by which the driver would turn
		// texts into times as it thinks right.
		expressions[i] = "+" + quoted(column)
	}
	//nolint:gosec // names cannot be parameters; they are quoted, and exist
	rows, err := d.tx.QueryContext(ctx, "SELECT "+strings.Join(expressions, ", ")+" FROM "+quoted(table))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		values := make([]any, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		row := make(map[string]any, len(columns))
		for i, column := range columns {
			row[column] = values[i]
		}
		do(row)
		d.read()
	}
	return rows.Err()
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// groups reads auth_group and the memberships, which are returned by user.
func (d *djangoSQLite) groups(ctx context.Context) (map[int64][]djangoRef, error) {
	table := d.how.column("groups")
	switch table {
	case "":
		return nil, nil
	case "groups":
		table = d.table + "_groups"
	}
	have, err := d.columns(ctx, table)
	if err != nil {
		return nil, err
	}
	// The table of a model app.Account has account_id where auth_user has user_id.
	others := slices.DeleteFunc(slices.Clone(have), func(name string) bool { return name == "id" || name == "group_id" })
	if len(others) != 1 || !slices.Contains(have, "group_id") {
		return nil, djangoProblem(nil, "name it with --column groups=TABLE, or say --column groups= if users have no groups",
			"there is no table %s that ties users to groups", table)
	}
	if group, err := d.columns(ctx, "auth_group"); err != nil {
		return nil, err
	} else if !slices.Contains(group, "id") || !slices.Contains(group, "name") {
		return nil, djangoProblem(nil, "say --column groups= if users have no groups", "the database has no table auth_group with id and name")
	}
	err = d.each(ctx, "auth_group", []string{"id", "name"}, func(row map[string]any) {
		id, isNumber := asNumber(row["id"])
		name, isText := asText(row["name"])
		at := fmt.Sprintf("auth_group %v", row["id"])
		if !isNumber || id < 1 || !isText {
			d.problem("%s: it has no number or no name", at)
			return
		}
		d.group(at, id, name)
	})
	if err != nil {
		return nil, err
	}
	members := map[int64][]djangoRef{}
	err = d.each(ctx, table, []string{others[0], "group_id"}, func(row map[string]any) {
		user, isUser := asNumber(row[others[0]])
		group, isGroup := asNumber(row["group_id"])
		if !isUser || !isGroup || group < 1 {
			d.problem("%s: a row does not name a user and a group by number", table)
			return
		}
		members[user] = append(members[user], djangoRef{id: group})
	})
	return members, err
}

// lastNumber reads the highest number that the site ever gave: a token of a user
// who was deleted must not become another's.
func (d *djangoSQLite) lastNumber(ctx context.Context) error {
	have, err := d.columns(ctx, "sqlite_sequence")
	if err != nil || len(have) == 0 {
		return err
	}
	rows, err := d.tx.QueryContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = $1`, d.table)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var last any
		if err := rows.Scan(&last); err != nil {
			return err
		}
		if n, ok := asNumber(last); ok && n <= maxDjangoID {
			d.site.lastID = max(d.site.lastID, n)
		}
	}
	return rows.Err()
}

// readTokens reads the tables of SimpleJWT's blacklist app.
func (d *djangoSQLite) readTokens(ctx context.Context) error {
	for _, t := range []struct {
		table   string
		columns []string
		take    func(at string, row map[string]any)
	}{
		{"token_blacklist_outstandingtoken", []string{"id", "user_id", "jti", "created_at", "expires_at"}, d.outstandingRow},
		{"token_blacklist_blacklistedtoken", []string{"id", "token_id", "blacklisted_at"}, d.blacklisted},
	} {
		have, err := d.columns(ctx, t.table)
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Clone(t.columns), func(name string) bool { return slices.Contains(have, name) })
		switch {
		case len(missing) > 0 && !d.how.Tokens:
			continue
		case len(have) == 0:
			return djangoProblem(nil, "leave out --with-tokens: the site has no blacklist app", "the database has no table %s", t.table)
		case len(missing) > 0:
			return djangoProblem(nil, "migrate the site to a newer SimpleJWT first", "the table %s has no column %s", t.table, missing[0])
		}
		err = d.each(ctx, t.table, t.columns, func(row map[string]any) {
			t.take(fmt.Sprintf("%s %v", t.table, row["id"]), row)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *djangoSQLite) outstandingRow(at string, row map[string]any) {
	if !d.how.Tokens {
		return
	}
	user, ok := asNumber(row["user_id"])
	if row["user_id"] != nil && !ok {
		d.problem("%s: user_id is %s, want a whole number", at, describe(row["user_id"]))
		return
	}
	d.outstanding(at, row, djangoRef{id: user})
}
