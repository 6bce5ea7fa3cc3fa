package users

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gatehouse/users/password"
)

// nobody is how long a login takes whose user does not exist, or has no password: as
// long as it takes users of this site, whose hashes may be of many kinds.
type nobody struct {
	mu  sync.Mutex
	mix *password.Mix
	at  time.Time
}

const (
	mixFor  = 5 * time.Minute // a look at the hashes counts
	mixMost = 4000            // hashes that are looked at, spread over all users
)

// verifyNobody is the check of a password that nobody has.
func (s *Store) verifyNobody(ctx context.Context, name, plain string) error {
	return s.hasher.VerifyNobody(ctx, s.mix(ctx), name, plain)
}

// mix looks at the hashes, once in a while. Whoever comes meanwhile goes by the look before.
func (s *Store) mix(ctx context.Context) *password.Mix {
	n := &s.nobody
	n.mu.Lock()
	defer n.mu.Unlock()
	now := s.now()
	if age := now.Sub(n.at); n.mix != nil && age >= 0 && age < mixFor {
		return n.mix
	}
	encoded, secret, err := s.someHashes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.logger.WarnContext(ctx, "the kinds of password hashes cannot be looked at; until then logins of unknown users take the time of before", slog.Any("error", err))
			n.at = now.Add(10*time.Second - mixFor)
		}
		return n.mix
	}
	n.mix, n.at = s.hasher.NewMix(secret, encoded), now
	return n.mix
}

// someHashes returns hashes of users, and what nobody outside can know and stays: when, to
// the microsecond, the first of them came.
func (s *Store) someHashes(ctx context.Context) (encoded []string, secret []byte, err error) {
	var first int64
	if s.site != nil {
		encoded, first, err = s.site.someHashes(ctx)
	} else {
		err = s.read(ctx, func(ctx context.Context, db reads) error {
			encoded = nil
			var last int64
			err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0), COALESCE((SELECT date_joined FROM users ORDER BY id LIMIT 1), 0) FROM users`).Scan(&last, &first)
			if err != nil {
				return err
			}
			rows, err := db.QueryContext(ctx, `SELECT password FROM users WHERE id % $1 = 0 ORDER BY id LIMIT $2`, max(1, last/mixMost), mixMost)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var one string
				if err := rows.Scan(&one); err != nil {
					return err
				}
				encoded = append(encoded, one)
			}
			return rows.Err()
		})
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("gatehouse: who is like whom"), uint64(first))) //nolint:gosec // its bits
	return encoded, sum[:], err
}

// someHashes is that of a Store, for the users of a Django site.
func (s *site) someHashes(ctx context.Context) (encoded []string, first int64, err error) {
	id, hash, joined := s.how.column("id"), s.how.column("password"), s.how.column("date_joined")
	columns := []string{hash}
	if slices.Contains(s.columns, joined) {
		columns = append(columns, joined)
	}
	err = s.read(ctx, func(ctx context.Context, d *djangoTables) error {
		encoded, first = nil, 0
		var last int64
		err := d.tx.QueryRowContext(ctx, "SELECT COALESCE(MAX("+quoted(id)+"), 0) FROM "+s.engine.table(s.table())).Scan(&last)
		if err != nil {
			return err
		}
		note := func(row map[string]any) {
			if text, ok := row[joined].(string); ok && first == 0 {
				sum := sha256.Sum256([]byte(text))
				first = int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // its bits
			}
			if text, ok := row[hash].(string); ok {
				encoded = append(encoded, text)
			}
		}
		if err := d.eachWhere(ctx, s.table(), columns, " ORDER BY "+quoted(id)+" LIMIT 1", nil, note); err != nil {
			return err
		}
		encoded = nil
		return d.eachWhere(ctx, s.table(), columns, " WHERE "+quoted(id)+" % $1 = 0 ORDER BY "+quoted(id)+" LIMIT $2", []any{max(1, last/mixMost), mixMost}, note)
	})
	return encoded, first, err
}
