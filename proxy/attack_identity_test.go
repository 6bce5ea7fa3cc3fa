package proxy_test

import (
	"fmt"
	"net/textproto"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// everyPath is one path of each kind that a request can be forwarded from.
var everyPath = map[string]bool{"/public/": false, "/optional/": false, "/optional/with": true, "/x": true, "/staff/": true}

// credential is the header of alice where a path is to be called with a token.
func credential(path, bearer string) []string {
	if everyPath[path] {
		return []string{bearer}
	}
	return nil
}

// CVE-2025-64484, CVE-2026-54763, CVE-2026-52845: X_User_Id passed where X-User-Id
// was removed, and the backend (CGI, WSGI, PHP, Rack) folded both into one name. The
// proof is on the wire: no header that folds to a managed name, but ours.
func TestAttackIdentityUnderAnotherSpelling(t *testing.T) {
	w := open(t, nil)
	bearer := w.bearer("alice")
	var headers []string
	for _, name := range []string{"X-User-Id", "X-User-Name", "X-User-Email", "X-User-Groups"} {
		for _, separator := range []string{"-", "_", ".", "+", "*", "~", "!", "#", "$", "&", "'", "^", "`", "|", "%"} {
			spelling := strings.ReplaceAll(name, "-", separator)
			headers = append(headers, spelling+": mallory", strings.ToLower(spelling)+": mallory", strings.ToUpper(spelling)+": mallory",
				strings.Replace(name, "-", separator, 1)+": mallory")
		}
		headers = append(headers, name+": mallory", name+": mallory") // and twice
	}
	for path := range everyPath {
		w.backend.wire.Reset()
		if got := w.get(path, append(headers, credential(path, bearer)...)...); got.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.Text)
		}
		wire := w.backend.wire.String()
		if strings.Contains(wire, "mallory") {
			t.Errorf("%s: the backend was sent\n%s", path, wire)
		}
		for _, name := range []string{"x_user_id", "x_user_name", "x_user_email", "x_user_groups"} {
			count, want := 0, 0
			for line := range strings.SplitSeq(wire, "\r\n") {
				if sent, _, ok := strings.Cut(line, ":"); ok && identity.Fold(sent) == name {
					count++
				}
			}
			if everyPath[path] {
				want = 1
			}
			if count != want {
				t.Errorf("%s: %d headers that fold to %s, want %d", path, count, name, want)
			}
		}
	}
}

// CVE-2026-30851, CVE-2026-39998, krakend-ce#309: the client's header went only where
// a new one took its place. Bob is in no group and the claim is in no token.
func TestAttackHeaderThatNothingReplaces(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Identity.Headers = map[string]identity.Source{
			"x-user-name": {Word: "username"}, "x-user-groups": {Word: "groups"}, "x-user-dept": {Claim: []string{"profile", "department"}},
		}
		cfg.Identity.AlsoStrip = []string{"X-Remote-*"}
	})
	bearer := w.bearer("bob")
	w.get("/x", bearer, "X-User-Groups: staff", "X-User-Dept: board", "X-User-Email: root@example.com", "X-User-Id: 1", "X-Remote-User: root", "X_Remote_Groups: staff", "X-Remote: x")
	in := w.only()
	for name, values := range in.Header {
		folded := identity.Fold(name)
		if strings.HasPrefix(folded, "x_user") && name != "X-User-Name" || strings.HasPrefix(folded, "x_remote") {
			t.Errorf("%s: %q", name, values)
		}
	}
	if got := in.Header.Values("X-User-Name"); len(got) != 1 || got[0] != "bob" {
		t.Errorf("X-User-Name: %q", got)
	}
}

// GHSA-w9mr-28mw-j8hg, CVE-2024-45410, CVE-2021-33197: a client lists our header in
// Connection, and the proxy takes it for hop-by-hop and drops it.
func TestAttackConnectionNamesOurHeaders(t *testing.T) {
	w := open(t, nil)
	bearer := w.bearer("alice")
	for _, connection := range []string{
		"Connection: X-User-Id, X-User-Name, X-User-Groups, X-Forwarded-For, X-Forwarded-Proto, X-Request-Id, Authorization",
		"connection: close, x-user-id, x-user-name, x-user-groups, x-forwarded-for, x-forwarded-proto, x-request-id, authorization",
		"Connection: keep-alive,X-USER-ID,,X-USER-NAME ,\tX-User-Groups,X-Forwarded-For,X-Forwarded-Proto,x-request-id,AUTHORIZATION, Host, Cookie",
	} {
		for path := range everyPath {
			if got := w.get(path, append(credential(path, bearer), connection)...); got.StatusCode != 200 {
				t.Errorf("%s: %d %s", path, got.StatusCode, got.Text)
				continue
			}
			in := w.only()
			want := []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id"}
			if everyPath[path] {
				want = append(want, "X-User-Id", "X-User-Name", "X-User-Groups")
			}
			for _, name := range want {
				if len(in.Header.Values(name)) != 1 {
					t.Errorf("%s with %q: %s is %q", path, connection, name, in.Header.Values(name))
				}
			}
			if in.Host != "app.example.com" {
				t.Errorf("Host is %q", in.Host)
			}
		}
	}
}

// A trailer is a header that comes late. Backends that merge them (or read
// CGI variables after the body) would take an identity from one.
func TestAttackIdentityInTrailers(t *testing.T) {
	w := open(t, nil)
	for path := range everyPath {
		w.backend.wire.Reset()
		w.rawBytes(crlf(head("POST", path, append(credential(path, w.bearer("alice")),
			"Transfer-Encoding: chunked", "Trailer: X-User-Id, X_User_Name, Authorization, X-Forwarded-For", "TE: trailers", "Connection: TE")...) +
			"4\nbody\n0\nX-User-Id: mallory\nX_User_Name: mallory\nX-User-Groups: mallory\nAuthorization: mallory\nX-Forwarded-For: mallory\n\n"))
		in := w.only()
		if wire := w.backend.wire.String(); strings.Contains(wire, "mallory") || strings.Contains(wire, "Trailer:") || len(in.Trailer) != 0 {
			t.Errorf("%s: the backend was sent\n%s", path, wire)
		}
		if in.Body != "body" {
			t.Errorf("%s: body %q", path, in.Body)
		}
	}
}

// Two Authorization headers: one reader takes the first, another the last.
func TestAttackTwoCredentials(t *testing.T) {
	w := open(t, nil)
	alice, bob := w.bearer("alice"), w.bearer("bob")
	for path := range everyPath {
		for _, headers := range [][]string{{alice, bob}, {bob, alice}, {alice, alice}, {alice, "authorization:"}, {"Authorization: Basic x", alice}} {
			w.refused(w.get(path, headers...), 400, `{"detail":"Malformed request: more than one header with credentials."}`)
		}
	}
	w.untouched()
}

// The credential is for gatehouse. A backend that gets it, or whose logs are read,
// could act as the user; on public routes as well.
func TestAttackCredentialReachesTheBackend(t *testing.T) {
	w := open(t, nil)
	bearer := w.bearer("alice")
	for path := range everyPath {
		w.backend.wire.Reset()
		for _, header := range []string{bearer, strings.Replace(bearer, "Auth", "aUTH", 1)} {
			if got := w.get(path, header, "Proxy-Authorization: Basic mallory"); got.StatusCode != 200 {
				t.Errorf("%s: %d", path, got.StatusCode)
			}
		}
		wire := strings.ToLower(w.backend.wire.String())
		if strings.Contains(wire, "authorization") || strings.Contains(wire, strings.ToLower(bearer[len(bearer)-40:])) {
			t.Errorf("%s: the backend was sent\n%s", path, wire)
		}
	}
}

// CVE-2026-25748: a malformed credential was an error, and the error an open door.
func TestAttackGarbageCredentials(t *testing.T) {
	w := open(t, nil)
	good := w.token("alice")
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for _, token := range []string{
		".", "..", "...", "....", header, header + "..", header + "." + payload, header + "." + payload + ".", good + ".", "." + good, good + "x", good[:len(good)-1],
		good + "=", header + "." + payload + "." + signature[1:], strings.ToUpper(good), strings.Repeat(".", 10_000), strings.Repeat("x", 10_000), "null", "{}", "\xff\xfe",
		"eyJhbGciOiJub25lIn0." + payload + ".", "eyJhbGciOiJub25lIn0." + payload + "." + signature,
	} {
		for _, path := range []string{"/optional/", "/x", "/staff/"} {
			got := w.get(path, "Authorization: Bearer "+token, "Cookie: session="+token)
			if got.StatusCode != 401 || got.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %.40q: %d %s", path, token, got.StatusCode, got.Text)
			}
		}
	}
	w.untouched()
}

// An identity that cannot be a header: never a second line, never the name of
// somebody else.
func TestAttackNamesThatAreNoHeaders(t *testing.T) {
	w, store := openWithStore(t)
	for i, name := range []string{"jürgen", "a,b", "100%", "名前", "a:b", "x=y;z", `"quoted"`, "alice ", "al\u00adice"} {
		user := users.NewUser{Username: name, Password: password, Email: fmt.Sprintf("u%d@example.com", i), Groups: []string{"staff,admin", "ö"}}
		if _, err := store.CreateUser(t.Context(), user); err != nil {
			continue // it cannot exist
		}
		if got := w.get("/x", w.bearer(name)); got.StatusCode != 200 {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.Text)
			continue
		}
		in := w.only()
		got := in.Header.Values("X-User-Name")
		if len(got) != 1 || got[0] == "alice" || textproto.TrimString(got[0]) != got[0] {
			t.Errorf("%q is told as %q", name, got)
		}
		for _, c := range []byte(strings.Join(got, "")) {
			if c < ' ' || c >= 0x7f {
				t.Errorf("%q is told as %q", name, got)
			}
		}
		if groups := in.Header.Get("X-User-Groups"); len(strings.Split(groups, ",")) != 2 {
			t.Errorf("two groups are told as %q", groups)
		}
	}
}

// A list of groups that does not fit into a header is not cut off: what is left
// might be somebody else's.
func TestAttackIdentityThatDoesNotFit(t *testing.T) {
	w, store := openWithStore(t)
	var groups []string
	for i := range 200 {
		groups = append(groups, fmt.Sprintf("%s-%03d", strings.Repeat("g", 60), i))
	}
	userstest.Add(t, store, users.NewUser{Username: "everywhere", Password: password, Groups: groups})
	w.refused(w.get("/x", w.bearer("everywhere")), 431, `{"detail":"The identity of the user does not fit into a header."}`)
	w.untouched()
}

// A store that cannot be asked lets nobody in, and does not say that the token is bad.
func TestAttackWhileTheStoreIsAway(t *testing.T) {
	w, store := openWithStore(t)
	bearer := w.bearer("alice")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/x", "/optional/", "/staff/"} {
		got := w.get(path, bearer)
		w.refused(got, 503, `{"detail":"Authentication is temporarily unavailable."}`)
		if got.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	w.untouched()
	if got := w.get("/public/", bearer); got.StatusCode != 200 {
		t.Errorf("a public path: %d", got.StatusCode)
	}
}

func TestADisabledUserIsOutAtOnce(t *testing.T) {
	w, store := openWithStore(t)
	bearer := w.bearer("alice")
	w.get("/x", bearer)
	w.only()
	no := false
	if _, err := store.UpdateUser(t.Context(), "alice", users.Change{Active: &no}); err != nil {
		t.Fatal(err)
	}
	w.refused(w.get("/x", bearer), 401, `{"detail":"User is inactive","code":"user_inactive"}`)
	w.untouched()
}
