package users

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// djangoToken is a refresh token that Django handed out.
type djangoToken struct {
	Token
	user    djangoRef // resolved to UserID at the end
	revoked time.Time // zero: not revoked
}

// djangoRevocation is a row of the blacklist.
type djangoRevocation struct {
	at    string
	token int64 // the number of the outstanding row
	when  time.Time
}

func (d *djangoDump) outstandingRecord(at string, record djangoRecord, fields map[string]any) error {
	if !d.how.Tokens {
		return nil
	}
	var user djangoRef
	if fields["user"] != nil {
		var ok bool
		if user, ok = asRef(fields["user"]); !ok {
			d.problem("%s: user is %s, want the number or the name of a user", at, describe(fields["user"]))
			return nil
		}
	}
	fields["id"] = record.PK
	d.outstanding(at, fields, user)
	return nil
}

func (d *djangoDump) blacklistedRecord(at string, _ djangoRecord, fields map[string]any) error {
	fields["token_id"] = fields["token"]
	d.blacklisted(at, fields)
	return nil
}

// maxJTI is Django's 255 characters, in bytes.
const maxJTI = 255 * utf8.UTFMax

// outstanding takes a row of token_blacklist_outstandingtoken. The token itself
// is forgotten here.
func (r *djangoReader) outstanding(at string, values map[string]any, user djangoRef) {
	row := djangoRow{values: values, how: DjangoReading{Zone: r.how.Zone}}
	id := row.number("id")
	token := &djangoToken{
		Token: Token{ID: row.text("jti"), IssuedAt: row.moment("created_at"), Expires: row.moment("expires_at")},
		user:  user,
	}
	if len(row.faults) == 0 {
		if token.ID == "" || len(token.ID) > maxJTI {
			row.faults = append(row.faults, "the jti is empty or too long")
		}
		if token.Expires.IsZero() {
			row.faults = append(row.faults, "it never expires")
		}
		if r.tokens[id] != nil {
			row.faults = append(row.faults, "a token of that number was there before")
		}
	}
	if len(row.faults) > 0 {
		r.problem("%s: %s", at, strings.Join(row.faults, "; "))
		return
	}
	r.tokens[id] = token
}

// blacklisted takes a row of token_blacklist_blacklistedtoken. Its token may come
// later.
func (r *djangoReader) blacklisted(at string, values map[string]any) {
	row := djangoRow{values: values, how: DjangoReading{Zone: r.how.Zone}}
	revocation := djangoRevocation{at: at, token: row.number("token_id"), when: row.moment("blacklisted_at")}
	if len(row.faults) > 0 {
		r.problem("%s: %s", at, strings.Join(row.faults, "; "))
		return
	}
	r.revocations = append(r.revocations, revocation)
}

// finishTokens ties tokens, users and revocations together.
func (r *djangoReader) finishTokens() {
	if !r.how.Tokens {
		if n := len(r.revocations); n > 0 {
			r.warn("the site has revoked %d refresh tokens; with its key they work again here, unless they are imported too (--with-tokens)", n)
		}
		return
	}
	if len(r.tokens) == 0 {
		r.warn("there are no refresh tokens in it; a dump needs the models of their app: manage.py dumpdata auth.group auth.user token_blacklist")
	}
	for _, revocation := range r.revocations {
		token := r.tokens[revocation.token]
		if token == nil {
			r.problem("%s: its token %d is not there; a dump needs both: manage.py dumpdata token_blacklist", revocation.at, revocation.token)
			continue
		}
		token.revoked = revocation.when
		if token.revoked.IsZero() {
			token.revoked = time.UnixMicro(0) // it is revoked, whenever that was
		}
	}
	byName := make(map[string]int64, len(r.site.users))
	for _, u := range r.site.users {
		byName[u.Username] = u.ID
	}
	byJTI := make(map[string]int, len(r.tokens))
	for _, token := range r.tokens {
		id := token.user.id
		if token.user.name != "" {
			id = byName[norm.NFKC.String(token.user.name)]
		}
		if id != 0 {
			token.UserID = &id
		}
		if byJTI[token.ID]++; byJTI[token.ID] == 2 {
			r.problem("two refresh tokens have one jti, %q", token.ID)
		}
		r.site.tokens = append(r.site.tokens, *token)
	}
	slices.SortFunc(r.site.tokens, func(a, b djangoToken) int { return cmp.Compare(a.ID, b.ID) })
}

// importTokens writes the tokens that still count. Whatever is revoked on either
// side is revoked afterwards.
func (m *djangoImport) tokens(ctx context.Context, tx *sql.Tx) error {
	if len(m.site.tokens) == 0 {
		return nil
	}
	known, err := knownTokens(ctx, tx)
	if err != nil {
		return err
	}
	write, err := tx.PrepareContext(ctx, `
		INSERT INTO tokens (jti, user_id, issued_at, expires_at, revoked_at)
		VALUES ($1, (SELECT id FROM users WHERE id = $2), $3, $4, $5)
		ON CONFLICT (jti) DO UPDATE SET
			revoked_at = COALESCE(tokens.revoked_at, excluded.revoked_at),
			expires_at = CASE WHEN excluded.expires_at > tokens.expires_at THEN excluded.expires_at ELSE tokens.expires_at END`)
	if err != nil {
		return err
	}
	defer func() { _ = write.Close() }()
	counts := &m.report.Tokens
	for _, token := range m.site.tokens {
		var issuedAt, revokedAt *int64
		if !token.IssuedAt.IsZero() {
			issuedAt = new(micros(token.IssuedAt))
		}
		end := token.Expires
		if !token.revoked.IsZero() {
			revokedAt = new(micros(token.revoked))
			// As long as Prune keeps it: an expired token may still be accepted
			// within the leeway.
			end = end.Add(tokensKept)
		}
		if !end.After(m.now) {
			counts.Expired++
			continue
		}
		if revokedAt != nil {
			counts.Revoked++
		}
		have, ok := known[storedID(token.ID)]
		switch {
		case !ok:
			counts.Created++
		case have.expires >= token.Expires.UnixMilli() && (have.revoked || revokedAt == nil):
			counts.Unchanged++
			continue
		default:
			counts.Updated++
		}
		if _, err := write.ExecContext(ctx, storedID(token.ID), token.UserID, issuedAt, micros(token.Expires), revokedAt); err != nil {
			return fmt.Errorf("write the refresh token %q: %w", token.ID, err)
		}
	}
	return nil
}

// knownToken is what the store has of a token.
type knownToken struct {
	expires int64 // milliseconds: more precise than that a dump is not
	revoked bool
}

func knownTokens(ctx context.Context, tx *sql.Tx) (map[string]knownToken, error) {
	rows, err := tx.QueryContext(ctx, `SELECT jti, expires_at, CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END FROM tokens`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	known := map[string]knownToken{}
	for rows.Next() {
		var jti string
		var expires, revoked int64
		if err := rows.Scan(&jti, &expires, &revoked); err != nil {
			return nil, err
		}
		known[jti] = knownToken{expires: time.UnixMicro(expires).UnixMilli(), revoked: revoked == 1}
	}
	return known, rows.Err()
}
