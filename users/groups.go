package users

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
)

// Membership is which groups have users.
type Membership struct {
	// Groups are the names of those with at least one user, enabled or not, ordered.
	Groups []string
	// Nobody tells that there is no user at all, in no group.
	Nobody bool
}

// Membership returns which groups have users.
func (s *Store) Membership(ctx context.Context) (m Membership, err error) {
	if s.site != nil {
		return s.site.membership(ctx)
	}
	err = s.read(ctx, func(ctx context.Context, db reads) (err error) {
		m, err = readMembership(ctx, db)
		return err
	})
	return m, err
}

// MembershipIn is [Store.Membership] of the database of cfg, which it neither creates nor
// changes. The error is [ErrNotFound] if there is no such database yet.
func MembershipIn(ctx context.Context, cfg Config) (Membership, error) {
	d, err := cfg.compile()
	engine, how, siteErr := cfg.Users.compile()
	if err := errors.Join(err, siteErr); err != nil {
		return Membership{}, err
	}
	if engine != nil {
		site, err := openSite(ctx, cfg.Users, *engine, how, slog.New(slog.DiscardHandler))
		if err != nil {
			return Membership{}, err
		}
		m, err := site.membership(ctx)
		return m, errors.Join(err, site.close())
	}
	if !Exists(cfg) {
		return Membership{}, ErrNotFound
	}
	writer, reader, err := d.connect()
	if err != nil {
		return Membership{}, err
	}
	m, err := readMembership(ctx, reader)
	if postgresCode(err) == "42P01" || err != nil && strings.Contains(err.Error(), "no such table") {
		err = ErrNotFound // there is a database, and nothing in it yet
	}
	return m, errors.Join(err, reader.Close(), writer.Close())
}

// Exists tells whether the database of cfg may be there: a file that is not there is
// not, and of a server it is not asked.
func Exists(cfg Config) bool {
	if cfg.Driver == "postgres" {
		return true
	}
	_, err := os.Stat(cfg.DSN)
	return !errors.Is(err, fs.ErrNotExist)
}

func readMembership(ctx context.Context, db reads) (m Membership, err error) {
	rows, err := db.QueryContext(ctx, `SELECT DISTINCT name FROM user_groups ORDER BY name`)
	if err != nil {
		return m, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return m, err
		}
		m.Groups = append(m.Groups, name)
	}
	if err := rows.Err(); err != nil || m.Groups != nil {
		return m, err
	}
	var one int
	err = db.QueryRowContext(ctx, `SELECT 1 FROM users LIMIT 1`).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		m.Nobody, err = true, nil
	}
	return m, err
}

func (s *site) membership(ctx context.Context) (m Membership, err error) {
	if s.members.table == "" {
		return m, nil
	}
	err = s.link.transact(ctx, work{repeatable: true}, s.engine.begin, func(ctx context.Context, tx *sql.Tx) (err error) {
		d := newDjangoTables(s.engine, tx, s.how)
		m.Groups, err = d.texts(ctx, "SELECT DISTINCT g.name FROM "+s.engine.table("auth_group")+" g JOIN "+s.engine.table(s.members.table)+
			" m ON m.group_id = g.id ORDER BY g.name")
		return err
	})
	return m, err
}
