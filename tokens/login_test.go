package tokens_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestALoginByEmail(t *testing.T) {
	const required = `{"email":["This field is required."],"password":["This field is required."]}`
	byName := tokens.Login{UsernameField: "email", FindBy: "username"}
	byEmail := tokens.Login{UsernameField: "email", FindBy: "email"}
	for _, c := range []struct {
		name   string
		login  tokens.Login
		fields map[string]string
		status int
		body   string // "": a pair
	}{
		{"the name is the address", byName, map[string]string{"email": "mail@example.com", "password": "testpassword"}, 200, ""},
		{"the address of a user of another name", byName, map[string]string{"email": "t@example.com", "password": "testpassword"}, 401, noAccount},
		{"the usual field", byName, map[string]string{"username": "mail@example.com", "password": "testpassword"}, 400, `{"email":["This field is required."]}`},
		{"nothing", byName, map[string]string{}, 400, required},
		{"blank", byName, map[string]string{"email": " ", "password": "x"}, 400, `{"email":["This field may not be blank."]}`},
		{"found by the address", byEmail, map[string]string{"email": "t@example.com", "password": "testpassword"}, 200, ""},
		{"wrong password", byEmail, map[string]string{"email": "t@example.com", "password": "wrong"}, 401, noAccount},
		{"the name instead", byEmail, map[string]string{"email": "testuser", "password": "testpassword"}, 401, noAccount},
		{"in capitals", byEmail, map[string]string{"email": "T@example.com", "password": "testpassword"}, 401, noAccount},
		{"an address that two have", byEmail, map[string]string{"email": "two@example.com", "password": "testpassword"}, 401, noAccount},
		{"an address that nobody has", byEmail, map[string]string{"email": "x@example.com", "password": "testpassword"}, 401, noAccount},
		{"of a user who is disabled", byEmail, map[string]string{"email": "gone@example.com", "password": "testpassword"}, 401, noAccount},
		{"the usual field with the address", tokens.Login{UsernameField: "username", FindBy: "email"}, map[string]string{"username": "t@example.com", "password": "testpassword"}, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openFor(t, c.login)
			for _, u := range []users.NewUser{
				{Username: "mail@example.com"},
				{Username: "one", Email: "two@example.com"},
				{Username: "two", Email: "two@example.com"},
				{Username: "gone", Email: "gone@example.com", Inactive: true},
				{Username: "without"},
			} {
				u.Password = "testpassword"
				userstest.Add(t, s.store, u)
			}
			if c.body != "" {
				s.expect("/api/token/", c.fields, c.status, c.body)
				return
			}
			if status, _, body := s.post("/api/token/", c.fields); status != 200 || !strings.HasPrefix(body, `{"refresh":"ey`) {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
}

func TestTheFieldOfTheLoginIsInOptions(t *testing.T) {
	for name, want := range map[string]string{"username": "Username", "email": "Email", "phone_number": "Phone number", "emailAddress": "Emailaddress"} {
		s := openFor(t, tokens.Login{UsernameField: name, FindBy: "username"})
		in, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.server.URL+"/api/token/", nil)
		s.ok(err)
		_, _, body := s.send(in)
		if want := `"actions":{"POST":{"` + name + `":{"type":"string","required":true,"read_only":false,"label":"` + want + `"},"password":`; !strings.Contains(body, want) {
			t.Errorf("got %s, want %s", body, want)
		}
	}
}

func TestTheLastLoginIsNoted(t *testing.T) {
	last := func(s *site) time.Time {
		u, err := s.store.UserByName(s.Context(), "testuser")
		s.ok(err)
		return u.LastLogin
	}
	login := tokens.DefaultLogin()
	login.UpdateLastLogin = true
	s := openFor(t, login)
	s.expect("/api/token/", map[string]string{"username": "testuser", "password": "wrong"}, http.StatusUnauthorized, noAccount)
	if got := last(s); !got.IsZero() {
		t.Errorf("a wrong password is noted: %v", got)
	}
	_, refresh := s.login()
	if got := last(s); !got.Equal(s.now()) {
		t.Errorf("the login was %v, want %v", got, s.now())
	}
	first := s.now()
	s.pass(time.Hour)
	s.yield(refresh)
	if got := last(s); !got.Equal(first) {
		t.Errorf("a refresh is noted: %v", got)
	}
	s.login()
	if got := last(s); !got.Equal(s.now()) {
		t.Errorf("the second login was %v, want %v", got, s.now())
	}
	s.pass(-time.Minute) // a process whose clock is behind
	s.login()
	if got := last(s); !got.Equal(first.Add(time.Hour)) {
		t.Errorf("it went back to %v", got)
	}

	s = open(t)
	s.login()
	if got := last(s); !got.IsZero() {
		t.Errorf("noted unasked: %v", got)
	}
}

func TestFaultsOfTheLogin(t *testing.T) {
	for _, c := range []struct {
		name  string
		login tokens.Login
		want  []string
	}{
		{"nothing", tokens.Login{}, []string{"username_field", "find_by"}},
		{"a name with a dash", tokens.Login{UsernameField: "e-mail", FindBy: "email"}, []string{"username_field"}},
		{"a name that begins with a digit", tokens.Login{UsernameField: "2fa", FindBy: "email"}, []string{"username_field"}},
		{"the name of the other field", tokens.Login{UsernameField: "password", FindBy: "email"}, []string{"username_field"}},
		{"by what nobody has", tokens.Login{UsernameField: "phone", FindBy: "phone"}, []string{"find_by"}},
		{"by number", tokens.Login{UsernameField: "id", FindBy: "id"}, []string{"find_by"}},
	} {
		if got := fields(c.login.Check()); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	if err := tokens.DefaultLogin().Check(); err != nil {
		t.Errorf("the default: %v", err)
	}
}
