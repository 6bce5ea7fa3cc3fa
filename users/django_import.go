package users

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/users/password"
)

// DjangoImport says how a site is to be imported. The zero value imports it.
type DjangoImport struct {
	// DryRun does everything and keeps nothing.
	DryRun bool
	// Progress is told now and then how many of all users were written; nil:
	// nobody is told.
	Progress func(done, all int)
}

// DjangoReport is what an import did, or would have done.
type DjangoReport struct {
	DryRun bool `json:"dry_run"`
	Users  struct {
		Created   int `json:"created"`
		Updated   int `json:"updated"`
		Unchanged int `json:"unchanged"`
	} `json:"users"`
	Groups      int `json:"groups"`      // with members
	Memberships int `json:"memberships"` // of the site's users
	Tokens      struct {
		Created   int `json:"created"`
		Updated   int `json:"updated"`
		Unchanged int `json:"unchanged"`
		Revoked   int `json:"revoked"` // of the three above
		Expired   int `json:"expired"` // left out
	} `json:"tokens"`
	// Hashes counts the site's users by the algorithm of their password.
	Hashes   map[string]int `json:"hashes"`
	Updated  []DjangoUpdate `json:"updated"`
	Locked   []DjangoLocked `json:"locked"`
	Warnings []string       `json:"warnings"`
}

// Changed tells whether the import changed anything.
func (r DjangoReport) Changed() bool {
	return r.Users.Created+r.Users.Updated+r.Tokens.Created+r.Tokens.Updated > 0
}

// DjangoUpdate is an account that was here and has become what the site has.
type DjangoUpdate struct {
	ID       int64    `json:"id"`
	Username string   `json:"username"`
	Fields   []string `json:"fields"`
}

// DjangoLocked is an account whose password hash cannot be verified, so that nobody
// can log in to it before it has a new password. Algorithm is "unknown" for what
// has no form at all.
type DjangoLocked struct {
	ID        int64  `json:"id"`
	Username  string `json:"username"`
	Algorithm string `json:"algorithm"`
}

// ImportDjango writes what was read of a site, in one transaction: accounts with
// their numbers and hashes, their groups, and the refresh tokens that were read.
// What is here already is left as it is, or becomes what the site has; accounts
// that the site does not have stay. If a number or a name of the site is another
// account's here, nothing is written and all such conflicts come as one
// [*DjangoError]. Whose hash it changes, or whom it disables, has no session left.
func (s *Store) ImportDjango(ctx context.Context, site *DjangoSite, how DjangoImport) (DjangoReport, error) {
	if s.site != nil {
		return DjangoReport{}, ErrManaged
	}
	m := &djangoImport{site: site, how: how, now: s.now(), advance: s.dialect.advance, end: s.endSessions}
	m.report.DryRun = how.DryRun
	m.report.Warnings = slices.Clone(site.warnings)
	m.survey()
	kept := errors.New("a dry run keeps nothing")
	var report DjangoReport
	var gone []endedFamily
	err := s.transact(ctx, work{long: true}, func(ctx context.Context, tx *sql.Tx) error {
		one := *m // from the beginning, for every run
		defer func() { report, gone = one.report, one.gone }()
		if s.dialect.lockUsers != nil {
			if err := s.dialect.lockUsers(ctx, tx); err != nil {
				return err
			}
		}
		if err := one.run(ctx, tx); err != nil {
			return err
		}
		if how.DryRun {
			return kept
		}
		return nil
	})
	s.live.dropAll()
	s.standing.dropAll()
	if err != nil && !errors.Is(err, kept) {
		return DjangoReport{}, err
	}
	if err == nil {
		s.ended.add(gone)
	}
	return report, nil
}

// Matches tells whether plain is the password of u as it was read. It writes
// nothing, whatever the age of the hash, and does not look whether u is active.
func (s *Store) Matches(ctx context.Context, u User, plain string) (bool, error) {
	match, _, err := s.hasher.Verify(ctx, plain, u.Password)
	return match, err
}

// djangoImport is one import under way.
type djangoImport struct {
	site    *DjangoSite
	how     DjangoImport
	now     time.Time
	advance func(ctx context.Context, tx *sql.Tx, id int64) error
	end     func(ctx context.Context, tx *sql.Tx, id int64) ([]endedFamily, error)
	gone    []endedFamily // what ended, when all is written
	report  DjangoReport

	insert, update, join, leave *sql.Stmt
}

// survey counts what the site has.
func (m *djangoImport) survey() {
	r := &m.report
	r.Hashes, r.Updated, r.Locked = map[string]int{}, []DjangoUpdate{}, []DjangoLocked{}
	members := map[string]bool{}
	legacy := 0
	for _, u := range m.site.users {
		r.Memberships += len(u.Groups)
		for _, name := range u.Groups {
			members[name] = true
		}
		algorithm, ok := hashName(u.Password)
		r.Hashes[algorithm]++
		switch {
		case !ok && algorithm != unusable:
			r.Locked = append(r.Locked, DjangoLocked{ID: u.ID, Username: u.Username, Algorithm: algorithm})
		case slices.Contains(legacyHashes, algorithm):
			legacy++
		}
	}
	r.Groups = len(members)
	if legacy > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d users have a hash of a kind that is verified only with login.hashing.accept_legacy: true", legacy))
	}
	empty := slices.DeleteFunc(slices.Clone(m.site.groups), func(name string) bool { return members[name] })
	if len(empty) > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("groups without members are not kept: %q", empty))
	}
	if r.Warnings == nil {
		r.Warnings = []string{}
	}
}

// unusable is how a hash is called that was made to match nothing.
const unusable = "unusable"

var legacyHashes = []string{"md5", "sha1", "unsalted_md5", "unsalted_sha1"}

// hashName names the algorithm of a hash; it is not ok if none is verified by it.
// Only known names are shown: what has no form may be a password in clear.
func hashName(encoded string) (name string, ok bool) {
	if name, ok := password.Identify(encoded); ok {
		return name, true
	}
	switch {
	case encoded == "":
		return "empty", false
	case encoded[0] == '!':
		return unusable, false
	}
	known := []string{"crypt", "argon2", "pbkdf2_sha256", "pbkdf2_sha1", "bcrypt", "bcrypt_sha256", "scrypt", "md5", "sha1"}
	prefix, _, found := strings.Cut(encoded, "$")
	if !found || !slices.Contains(known, prefix) {
		return "unknown", false
	}
	if prefix == "crypt" {
		return prefix, false
	}
	return prefix + " (malformed)", false
}

func (m *djangoImport) run(ctx context.Context, tx *sql.Tx) (err error) {
	for _, p := range []struct {
		statement **sql.Stmt
		text      string
	}{
		{&m.insert, `
			INSERT INTO users (id, username, password, first_name, last_name, email, is_active, is_staff, is_superuser, date_joined, last_login)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`},
		{&m.update, `
			UPDATE users SET password = $2, first_name = $3, last_name = $4, email = $5,
				is_active = $6, is_staff = $7, is_superuser = $8, date_joined = $9, last_login = $10
			WHERE id = $1`},
		{&m.join, `INSERT INTO user_groups (user_id, name) VALUES ($1, $2)`},
		{&m.leave, `DELETE FROM user_groups WHERE user_id = $1 AND name = $2`},
	} {
		*p.statement, err = tx.PrepareContext(ctx, p.text) //nolint:sqlclosecheck // closed just below
		if err != nil {
			return err
		}
		defer func() { _ = (*p.statement).Close() }()
	}
	have, err := readUsers(ctx, tx, selectUsers+orderUsers)
	if err != nil {
		return err
	}
	byID := make(map[int64]User, len(have))
	byName := make(map[string]User, len(have))
	for _, u := range have {
		byID[u.ID], byName[u.Username] = u, u
	}
	if err := m.conflicts(byID, byName); err != nil {
		return err
	}
	for i, u := range m.site.users {
		if old, ok := byID[u.ID]; ok {
			err = m.change(ctx, tx, old, u)
		} else {
			err = m.create(ctx, u)
		}
		if err != nil {
			return fmt.Errorf("write user %q (%d): %w", u.Username, u.ID, err)
		}
		if done := i + 1; m.how.Progress != nil && (done%500 == 0 || done == len(m.site.users)) {
			m.how.Progress(done, len(m.site.users))
		}
	}
	last := m.site.lastID
	if n := len(m.site.users); n > 0 {
		last = max(last, m.site.users[n-1].ID) // they are in order
	}
	if last > 0 && !m.how.DryRun { // not everywhere can that be undone
		if err := m.advance(ctx, tx, last); err != nil {
			return err
		}
	}
	return m.tokens(ctx, tx)
}

// conflicts looks for numbers and names that belong to somebody else here.
func (m *djangoImport) conflicts(byID map[int64]User, byName map[string]User) error {
	var problems []string
	for _, u := range m.site.users {
		if old, ok := byID[u.ID]; ok && old.Username != u.Username {
			problems = append(problems, fmt.Sprintf("user %q (%d): the number %d is here that of %q", u.Username, u.ID, u.ID, old.Username))
		}
		if old, ok := byName[u.Username]; ok && old.ID != u.ID {
			problems = append(problems, fmt.Sprintf("user %q (%d): here %q has the number %d", u.Username, u.ID, u.Username, old.ID))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &DjangoError{
		Problems: problems,
		Fix:      "delete or rename these accounts here (gatehouse user delete NAME, gatehouse user set NAME --name OTHER), or import into a new store",
	}
}

func (m *djangoImport) create(ctx context.Context, u User) error {
	m.report.Users.Created++
	if u.DateJoined.IsZero() { // the site has no such column
		u.DateJoined = m.now
	}
	_, err := m.insert.ExecContext(ctx, u.ID, u.Username, u.Password, u.FirstName, u.LastName, u.Email,
		integer(u.IsActive), integer(u.IsStaff), integer(u.IsSuperuser), micros(u.DateJoined), orNull(u.LastLogin))
	if err != nil {
		return err
	}
	for _, name := range u.Groups {
		if _, err := m.join.ExecContext(ctx, u.ID, name); err != nil {
			return err
		}
	}
	return nil
}

// change makes old what the site has, where they differ.
func (m *djangoImport) change(ctx context.Context, tx *sql.Tx, old, u User) error {
	u, fields := m.differences(old, u)
	if len(fields) == 0 {
		m.report.Users.Unchanged++
		return nil
	}
	m.report.Users.Updated++
	m.report.Updated = append(m.report.Updated, DjangoUpdate{ID: u.ID, Username: u.Username, Fields: fields})
	if !slices.Equal(fields, []string{"groups"}) {
		_, err := m.update.ExecContext(ctx, u.ID, u.Password, u.FirstName, u.LastName, u.Email,
			integer(u.IsActive), integer(u.IsStaff), integer(u.IsSuperuser), micros(u.DateJoined), orNull(u.LastLogin))
		if err != nil {
			return err
		}
	}
	if old.Password != u.Password || old.IsActive && !u.IsActive {
		gone, err := m.end(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		m.gone = append(m.gone, gone...)
	}
	for _, name := range without(old.Groups, u.Groups) {
		if _, err := m.leave.ExecContext(ctx, u.ID, name); err != nil {
			return err
		}
	}
	for _, name := range without(u.Groups, old.Groups) {
		if _, err := m.join.ExecContext(ctx, u.ID, name); err != nil {
			return err
		}
	}
	return nil
}

func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}

// differences returns what the account is to become, and the fields in which that
// is not what it is. What the site does not know stays as it is here.
func (m *djangoImport) differences(old, u User) (User, []string) {
	var fields []string
	differ := func(name string, same bool, keep func()) {
		switch {
		case same:
		case m.site.absent[name]:
			keep()
		default:
			fields = append(fields, name)
		}
	}
	differ("password", old.Password == u.Password, nil)
	differ("email", old.Email == u.Email, func() { u.Email = old.Email })
	differ("first_name", old.FirstName == u.FirstName, func() { u.FirstName = old.FirstName })
	differ("last_name", old.LastName == u.LastName, func() { u.LastName = old.LastName })
	differ("is_active", old.IsActive == u.IsActive, func() { u.IsActive = old.IsActive })
	differ("is_staff", old.IsStaff == u.IsStaff, func() { u.IsStaff = old.IsStaff })
	differ("is_superuser", old.IsSuperuser == u.IsSuperuser, func() { u.IsSuperuser = old.IsSuperuser })
	differ("groups", slices.Equal(old.Groups, u.Groups), func() { u.Groups = old.Groups })
	if m.sameMoment(old.DateJoined, u.DateJoined) || m.site.absent["date_joined"] {
		u.DateJoined = old.DateJoined
	} else {
		fields = append(fields, "date_joined")
	}
	// A login here since the last import is not undone.
	if m.sameMoment(old.LastLogin, u.LastLogin) || !u.LastLogin.After(old.LastLogin) {
		u.LastLogin = old.LastLogin
	} else {
		fields = append(fields, "last_login")
	}
	return u, fields
}

// sameMoment compares times as precisely as the source has them.
func (m *djangoImport) sameMoment(here, there time.Time) bool {
	if m.site.coarse {
		here, there = here.Truncate(time.Millisecond), there.Truncate(time.Millisecond)
	}
	return cmp.Compare(micros(here), micros(there)) == 0
}

// orNull returns the microseconds of a time, or nil for the zero time.
func orNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(micros(t))
}
