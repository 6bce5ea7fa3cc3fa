package users

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// DjangoExport says how a fixture is to be written. The zero value is right for a
// site that changed nothing.
type DjangoExport struct {
	// UserModel is the label of the site's user model; "" is auth.user.
	UserModel string
	// Zone, if not nil, writes times without a zone, as they are there: a site with
	// USE_TZ = False wants it, every other one does not.
	Zone *time.Location
}

// WriteDjango writes accounts and their groups as a fixture for `manage.py
// loaddata`, with their numbers, and with hashes that Django verifies.
//
// Groups are written by name, without numbers: loaddata finds the group of that
// name or makes one. A number would rename whatever group has it in the site, and
// hand that one's permissions to others. Permissions are not in the fixture, so
// those that groups and users have in the site stay.
func WriteDjango(out io.Writer, all []User, how DjangoExport) error {
	if how.UserModel == "" {
		how.UserModel = "auth.user"
	}
	var groups []string
	for _, u := range all {
		groups = append(groups, u.Groups...)
	}
	slices.Sort(groups)
	w := &fixture{out: bufio.NewWriter(out)}
	for _, name := range slices.Compact(groups) {
		w.record(fixtureRecord{Model: "auth.group", Fields: struct {
			Name string `json:"name"`
		}{name}})
	}
	for _, u := range slices.SortedFunc(slices.Values(all), func(a, b User) int { return cmp.Compare(a.ID, b.ID) }) {
		w.record(fixtureRecord{Model: how.UserModel, PK: &u.ID, Fields: how.fields(u)})
	}
	return w.close()
}

// fixtureRecord is one object of a fixture.
type fixtureRecord struct {
	Model  string `json:"model"`
	PK     *int64 `json:"pk,omitempty"`
	Fields any    `json:"fields"`
}

type fixtureUser struct {
	Password    string     `json:"password"`
	LastLogin   *string    `json:"last_login"`
	IsSuperuser bool       `json:"is_superuser"`
	Username    string     `json:"username"`
	FirstName   string     `json:"first_name"`
	LastName    string     `json:"last_name"`
	Email       string     `json:"email"`
	IsStaff     bool       `json:"is_staff"`
	IsActive    bool       `json:"is_active"`
	DateJoined  string     `json:"date_joined"`
	Groups      [][]string `json:"groups"` // natural keys
}

func (how DjangoExport) fields(u User) fixtureUser {
	f := fixtureUser{
		Password: u.Password, IsSuperuser: u.IsSuperuser, Username: u.Username, FirstName: u.FirstName, LastName: u.LastName,
		Email: u.Email, IsStaff: u.IsStaff, IsActive: u.IsActive, DateJoined: how.moment(u.DateJoined), Groups: [][]string{},
	}
	if !u.LastLogin.IsZero() {
		f.LastLogin = new(how.moment(u.LastLogin))
	}
	for _, name := range u.Groups {
		f.Groups = append(f.Groups, []string{name})
	}
	return f
}

func (how DjangoExport) moment(t time.Time) string {
	if how.Zone == nil {
		return t.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
	}
	return t.In(how.Zone).Format("2006-01-02T15:04:05.999999")
}

// fixture writes records as a JSON array, one on a line.
type fixture struct {
	out   *bufio.Writer
	begun bool
	err   error
}

func (w *fixture) record(r fixtureRecord) {
	if w.err != nil {
		return
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if w.err = encoder.Encode(r); w.err != nil {
		return
	}
	separator := ",\n"
	if !w.begun {
		w.begun, separator = true, "[\n"
	}
	_, w.err = fmt.Fprint(w.out, separator, string(bytes.TrimSuffix(line.Bytes(), []byte("\n"))))
}

func (w *fixture) close() error {
	if w.err != nil {
		return w.err
	}
	end := "\n]\n"
	if !w.begun {
		end = "[]\n"
	}
	if _, err := w.out.WriteString(end); err != nil {
		return err
	}
	return w.out.Flush()
}
