package users

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// djangoEngine is all in which one database of a site differs from another.
type djangoEngine struct {
	place  string // which database it is, for people; without a secret
	open   func(write bool) (*sql.DB, error)
	remote bool // a server, not a file
	// moment is a time as a column of the site takes it.
	moment  func(at time.Time, zone *time.Location) string
	begin   *sql.TxOptions           // of a transaction that sees one moment and cannot write
	table   func(name string) string // as it stands in a statement
	asked   func(name string) string // as the queries below want it
	column  func(name string) string // what a column has, as it has it
	columns string                   // a query for the columns of the table $1; none if there is no such table
	users   string                   // a query for tables that look like one of a user model
	// last returns the highest number that was ever given in a table; nil: not known.
	last    func(ctx context.Context, tx *sql.Tx, table, id string) (any, error)
	explain func(err error) error
	rename  string // what to do if the table is not there
}

// readDjango reads all of a site's database at one moment.
func readDjango(ctx context.Context, engine djangoEngine, how DjangoReading) (*DjangoSite, error) {
	db, err := engine.open(false)
	if err != nil {
		return nil, engine.explain(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, engine.begin)
	if err != nil {
		return nil, engine.explain(err)
	}
	defer func() { _ = tx.Rollback() }()
	d := newDjangoTables(engine, tx, how)
	if err := d.all(ctx); err != nil {
		return nil, engine.explain(err)
	}
	return d.finish()
}

// djangoTables reads the tables of a site.
type djangoTables struct {
	*djangoReader
	engine djangoEngine
	tx     *sql.Tx
	table  string // of the users
}

func newDjangoTables(engine djangoEngine, tx *sql.Tx, how DjangoReading) *djangoTables {
	return &djangoTables{djangoReader: newDjangoReader(how), engine: engine, tx: tx, table: cmp.Or(how.UserTable, "auth_user")}
}

func (d *djangoTables) all(ctx context.Context) error {
	if err := d.everybody(ctx); err != nil {
		return err
	}
	if err := d.lastNumber(ctx); err != nil {
		return err
	}
	return d.readTokens(ctx)
}

// everybody reads users and groups.
func (d *djangoTables) everybody(ctx context.Context) error {
	columns, err := d.userColumns(ctx)
	if err != nil {
		return err
	}
	members, err := d.groups(ctx)
	if err != nil {
		return err
	}
	id := d.how.column("id")
	return d.each(ctx, d.table, columns, func(row map[string]any) {
		n, _ := asNumber(row[id])
		d.user(fmt.Sprintf("%s %v", d.table, row[id]), row, members[n])
	})
}

// userColumns returns the columns to be read, after looking that they are there:
// SQLite takes an unknown name in quotes for a text, and elsewhere an error tells
// of one at a time.
func (d *djangoTables) userColumns(ctx context.Context) ([]string, error) {
	have, err := d.columns(ctx, d.table)
	if err != nil {
		return nil, err
	}
	if len(have) == 0 {
		fix := d.engine.rename
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
func (d *djangoTables) columns(ctx context.Context, table string) ([]string, error) {
	return d.texts(ctx, d.engine.columns, d.engine.asked(table))
}

// userTables returns tables that look like one of a user model.
func (d *djangoTables) userTables(ctx context.Context) []string {
	names, _ := d.texts(ctx, d.engine.users)
	return names
}

func (d *djangoTables) texts(ctx context.Context, query string, args ...any) ([]string, error) {
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
func (d *djangoTables) each(ctx context.Context, table string, columns []string, do func(row map[string]any)) error {
	return d.eachWhere(ctx, table, columns, "", nil, do)
}

func (d *djangoTables) eachWhere(ctx context.Context, table string, columns []string, where string, args []any, do func(row map[string]any)) error {
	expressions := make([]string, len(columns))
	for i, column := range columns {
		expressions[i] = d.engine.column(column)
	}
	//nolint:gosec // names cannot be parameters; they are quoted, and exist
	rows, err := d.tx.QueryContext(ctx, "SELECT "+strings.Join(expressions, ", ")+" FROM "+d.engine.table(table)+where, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
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
			row[column] = asWritten(values[i], types[i].DatabaseTypeName())
		}
		do(row)
		d.read()
	}
	return rows.Err()
}

// asWritten returns a time as text, with its zone if the column has one.
func asWritten(value any, databaseType string) any {
	at, ok := value.(time.Time)
	if !ok {
		return value
	}
	if databaseType == "TIMESTAMPTZ" {
		return at.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
	}
	return at.Format("2006-01-02T15:04:05.999999")
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// groups reads auth_group and the memberships, which are returned by user.
func (d *djangoTables) groups(ctx context.Context) (map[int64][]djangoRef, error) {
	table, owner, err := d.membership(ctx)
	if err != nil || table == "" {
		return nil, err
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
	err = d.each(ctx, table, []string{owner, "group_id"}, func(row map[string]any) {
		user, isUser := asNumber(row[owner])
		group, isGroup := asNumber(row["group_id"])
		if !isUser || !isGroup || group < 1 {
			d.problem("%s: a row does not name a user and a group by number", table)
			return
		}
		members[user] = append(members[user], djangoRef{id: group})
	})
	return members, err
}

// membership returns the table that ties users to groups, and its column that names
// the user; no table if the site has no groups.
func (d *djangoTables) membership(ctx context.Context) (table, user string, err error) {
	switch table = d.how.column("groups"); table {
	case "":
		return "", "", nil
	case "groups":
		table = d.table + "_groups"
	}
	have, err := d.columns(ctx, table)
	if err != nil {
		return "", "", err
	}
	// The table of a model app.Account has account_id where auth_user has user_id.
	others := slices.DeleteFunc(slices.Clone(have), func(name string) bool { return name == "id" || name == "group_id" })
	if len(others) != 1 || !slices.Contains(have, "group_id") {
		return "", "", djangoProblem(nil, "name it with --column groups=TABLE, or say --column groups= if users have no groups",
			"there is no table %s that ties users to groups", table)
	}
	if group, err := d.columns(ctx, "auth_group"); err != nil {
		return "", "", err
	} else if !slices.Contains(group, "id") || !slices.Contains(group, "name") {
		return "", "", djangoProblem(nil, "say --column groups= if users have no groups", "the database has no table auth_group with id and name")
	}
	return table, others[0], nil
}

// lastNumber reads the highest number that the site ever gave: a token of a user
// who was deleted must not become another's.
func (d *djangoTables) lastNumber(ctx context.Context) error {
	last, err := d.engine.last(ctx, d.tx, d.table, d.how.column("id"))
	if n, ok := asNumber(last); ok && n <= maxDjangoID {
		d.site.lastID = max(d.site.lastID, n)
	}
	return err
}

// readTokens reads the tables of SimpleJWT's blacklist app.
func (d *djangoTables) readTokens(ctx context.Context) error {
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

func (d *djangoTables) outstandingRow(at string, row map[string]any) {
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
