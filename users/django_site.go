package users

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// DjangoReading says how the data of a Django site is to be read. The zero value
// reads a site that changed nothing.
type DjangoReading struct {
	// UserModel is the label of the user model in a dump; "" is auth.user.
	UserModel string
	// UserTable is the table of the users in a database; "" is auth_user.
	UserTable string
	// Columns names the columns (in a dump: the fields) that are called otherwise
	// than in auth_user: Columns["username"] = "email". An empty name means that
	// the site has nothing of the kind; id, username and password must be there.
	// "groups" is the field of a dump, and the table of the memberships in a
	// database.
	Columns map[string]string
	// Tokens reads the refresh tokens of SimpleJWT's blacklist app too.
	Tokens bool
	// Zone is where times that name no zone were taken; nil is UTC, which is right
	// unless the site has USE_TZ = False.
	Zone *time.Location
	// Progress is told now and then how many rows were read; nil: nobody is told.
	Progress func(rows int)
}

// DjangoSite is what was read of a Django site: accounts that the store can take
// as they are. It is made by [ReadDjangoDump] or [ReadDjangoSQLite].
type DjangoSite struct {
	users    []User // ordered by number; names in NFKC
	tokens   []djangoToken
	groups   []string        // ordered; members or not
	absent   map[string]bool // columns that the site does not have
	lastID   int64           // the highest number ever given, if that is known
	coarse   bool            // times were cut to milliseconds, as in a dump
	warnings []string
}

// Users returns the accounts of the site, ordered by number. The slice is the
// caller's, what is in it is not.
func (d *DjangoSite) Users() []User { return slices.Clone(d.users) }

// DjangoError is why nothing was read or written: every problem that was found, a
// line each, and what helps.
type DjangoError struct {
	Problems []string
	Fix      string
	Err      error // the cause; may be nil
}

// Error returns the problems, a line each if there are several.
func (e *DjangoError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("%d problems:\n  %s", len(e.Problems), strings.Join(e.Problems, "\n  "))
}

// Unwrap returns the cause.
func (e *DjangoError) Unwrap() error { return e.Err }

func djangoProblem(cause error, fix, format string, args ...any) error {
	return &DjangoError{Problems: []string{fmt.Sprintf(format, args...)}, Fix: fix, Err: cause}
}

// The columns of auth_user that are read, and "groups" for the memberships.
var djangoColumns = []string{
	"id", "username", "password", "email", "first_name", "last_name",
	"is_active", "is_staff", "is_superuser", "date_joined", "last_login", "groups",
}

// column returns the site's name for a column of auth_user; "" if it has none.
func (how DjangoReading) column(name string) string {
	if theirs, ok := how.Columns[name]; ok {
		return theirs
	}
	return name
}

// check refuses columns that do not exist here, and a site without the needed ones.
func (how DjangoReading) check() error {
	var problems []string
	for name, theirs := range how.Columns {
		switch {
		case !slices.Contains(djangoColumns, name):
			problems = append(problems, fmt.Sprintf("there is no column %q to give another name", name))
		case theirs == "" && slices.Contains(djangoColumns[:3], name):
			problems = append(problems, fmt.Sprintf("no user can be imported without the column %q", name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return &DjangoError{Problems: problems, Fix: "name one of " + strings.Join(djangoColumns, ", ")}
}

// djangoReader collects what a source says, row by row, in whatever order.
type djangoReader struct {
	how      DjangoReading
	site     *DjangoSite
	problems []string
	rows     int

	memberships [][]djangoRef    // beside site.users
	groupNames  map[int64]string // by the group's number
	groupSeen   map[string]bool
	tokens      map[int64]*djangoToken // by the number of the outstanding row
	revocations []djangoRevocation
}

// djangoRef names another row: by number, or by name (a natural key).
type djangoRef struct {
	id   int64
	name string // used when id is 0
}

func newDjangoReader(how DjangoReading) *djangoReader {
	r := &djangoReader{
		how:        how,
		site:       &DjangoSite{absent: map[string]bool{}},
		groupNames: map[int64]string{},
		groupSeen:  map[string]bool{},
		tokens:     map[int64]*djangoToken{},
	}
	for _, name := range djangoColumns {
		r.site.absent[name] = how.column(name) == ""
	}
	return r
}

// read counts a row that was read.
func (r *djangoReader) read() {
	if r.rows++; r.rows%500 == 0 && r.how.Progress != nil {
		r.how.Progress(r.rows)
	}
}

func (r *djangoReader) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *djangoReader) warn(format string, args ...any) {
	r.site.warnings = append(r.site.warnings, fmt.Sprintf(format, args...))
}

// user takes one row of auth_user; values are by the site's names of the columns.
func (r *djangoReader) user(at string, values map[string]any, groups []djangoRef) {
	row := djangoRow{values: values, how: r.how}
	u := User{
		ID:          row.number("id"),
		Username:    row.text("username"),
		Password:    row.text("password"),
		Email:       row.text("email"),
		FirstName:   row.text("first_name"),
		LastName:    row.text("last_name"),
		IsActive:    row.flag("is_active", true),
		IsStaff:     row.flag("is_staff", false),
		IsSuperuser: row.flag("is_superuser", false),
		DateJoined:  row.moment("date_joined"),
		LastLogin:   row.moment("last_login"),
		Groups:      []string{},
		Attributes:  map[string]string{},
	}
	if len(row.faults) > 0 {
		r.problem("%s: %s", at, strings.Join(row.faults, "; "))
		return
	}
	if err := r.accept(&u); err != nil {
		r.problem("%s: %s", at, oneLine(err))
		return
	}
	r.site.users = append(r.site.users, u)
	r.memberships = append(r.memberships, groups)
}

// maxDjangoID is the highest number of an account that is taken: the highest that
// every reader of JSON keeps, since it is a claim of tokens.
const maxDjangoID = 1<<53 - 1

// accept holds u against what the store takes, and mends what can be mended
// without changing who it is.
func (r *djangoReader) accept(u *User) error {
	var faults []error
	if u.ID < 1 || u.ID > maxDjangoID {
		faults = append(faults, fmt.Errorf("the id %d is not between 1 and %d", u.ID, int64(maxDjangoID)))
	}
	if name := norm.NFKC.String(u.Username); name != u.Username {
		r.warn("user %q (%d) becomes %q, which is the form in which names are stored, and must be typed so at the login", u.Username, u.ID, name)
		u.Username = name
	}
	faults = append(faults, checkUsername(u.Username))
	if strings.ContainsRune(u.Username, unicode.ReplacementChar) {
		faults = append(faults, fmt.Errorf("the name %q contains U+FFFD: a character of it was lost", u.Username))
	}
	for _, field := range []struct {
		at    string
		text  *string
		limit int
	}{{"email", &u.Email, maxEmail}, {"first_name", &u.FirstName, maxName}, {"last_name", &u.LastName, maxName}} {
		if clean := strings.Map(shown, *field.text); clean != *field.text {
			r.warn("user %q (%d): %s loses characters that do not show", u.Username, u.ID, field.at)
			*field.text = clean
		}
		faults = append(faults, checkText(field.at, *field.text, field.limit))
	}
	switch {
	case len(u.Password) > maxHash:
		faults = append(faults, fmt.Errorf("the password hash is longer than %d bytes", maxHash))
	case !isPlainText(u.Password):
		// Not shown: it may be a password in clear.
		faults = append(faults, errors.New("the password hash contains what no hash contains"))
	}
	return errors.Join(faults...)
}

// shown drops what checkText refuses. Bytes that are not UTF-8 stay, to be refused.
func shown(r rune) rune {
	if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
		return -1
	}
	return r
}

func isPlainText(text string) bool { return checkText("", text, len(text)) == nil }

// oneLine returns joined errors separated by semicolons.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// group takes one row of auth_group; id is 0 for one that a dump names by name only.
func (r *djangoReader) group(at string, id int64, name string) {
	if err := checkGroups([]string{name}); err != nil {
		r.problem("%s: %s", at, oneLine(err))
		return
	}
	switch {
	case id != 0 && r.groupNames[id] != "" && r.groupNames[id] != name:
		r.problem("%s: the number is that of group %q already", at, r.groupNames[id])
	case id != 0 && r.groupNames[id] == "" && r.groupSeen[name]:
		r.problem("%s: a group %q was there before", at, name)
	default:
		r.groupNames[id], r.groupSeen[name] = name, true
	}
}

// finish ties the rows together and returns the site, or everything that is wrong.
func (r *djangoReader) finish() (*DjangoSite, error) {
	delete(r.groupNames, 0)
	for i := range r.site.users {
		r.join(&r.site.users[i], r.memberships[i])
	}
	slices.SortStableFunc(r.site.users, func(a, b User) int { return cmp.Compare(a.ID, b.ID) })
	r.unique()
	for name := range r.groupSeen {
		r.site.groups = append(r.site.groups, name)
	}
	slices.Sort(r.site.groups)
	r.finishTokens()
	if len(r.problems) > 0 {
		return nil, &DjangoError{Problems: r.problems, Fix: "mend these rows in Django, then read it again"}
	}
	return r.site, nil
}

// join puts u into its groups.
func (r *djangoReader) join(u *User, refs []djangoRef) {
	for _, ref := range refs {
		name := ref.name
		if ref.id != 0 {
			if name = r.groupNames[ref.id]; name == "" {
				r.problem("user %q (%d) is in group %d, which is not there; a dump needs both: manage.py dumpdata auth.group auth.user", u.Username, u.ID, ref.id)
				continue
			}
		} else if err := checkGroups([]string{name}); err != nil {
			r.problem("user %q (%d): %s", u.Username, u.ID, oneLine(err))
			continue
		}
		r.groupSeen[name] = true
		u.Groups = append(u.Groups, name)
	}
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
}

// unique refuses two accounts of one number or one name, and tells of names that
// only their case keeps apart. The users are in order.
func (r *djangoReader) unique() {
	byName := make(map[string]int64, len(r.site.users))
	byFold := make(map[string]User, len(r.site.users))
	for i, u := range r.site.users {
		if i > 0 && r.site.users[i-1].ID == u.ID {
			r.problem("users %q and %q have one number, %d", r.site.users[i-1].Username, u.Username, u.ID)
		}
		if first, ok := byName[u.Username]; ok {
			r.problem("users %d and %d have one name, %q, in the form in which names are stored (NFKC)", first, u.ID, u.Username)
			continue
		}
		byName[u.Username] = u.ID
		fold := strings.ToLower(u.Username)
		if first, ok := byFold[fold]; ok {
			r.warn("users %q (%d) and %q (%d) are two accounts: case counts", first.Username, first.ID, u.Username, u.ID)
			continue
		}
		byFold[fold] = u
	}
}
