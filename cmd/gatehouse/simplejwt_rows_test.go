package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// row is an answer that is wanted although Debian's version gives another one.
type row struct {
	name string
	// cites is the beginning of the line of docs/simplejwt.md that says so.
	cites string
	// named rows count for the cases alone that name them.
	named bool
	// want makes the wanted answer of the original's; the same if it has nothing to say.
	want func(p profile, x inquiry, r request, original seen) seen
}

// ledger remembers which rows were needed.
type ledger struct {
	mu   sync.Mutex
	used map[string]int
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	page, err := os.ReadFile("../../docs/simplejwt.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range rows {
		if !strings.Contains(string(page), "\n| "+r.cites) {
			t.Errorf("the row %q cites a line that docs/simplejwt.md does not have: %s", r.name, r.cites)
		}
		if names[r.name] {
			t.Errorf("two rows %q", r.name)
		}
		names[r.name] = true
	}
	return &ledger{used: map[string]int{}}
}

// newQuietLedger is one that nobody asks.
func newQuietLedger() *ledger { return &ledger{used: map[string]int{}} }

// expect returns the answer that is wanted, and the rows that made it another one
// than the original's.
func (l *ledger) expect(p profile, x inquiry, r request, original seen) (seen, []string) {
	want := original
	var used []string
	named := map[string]bool{}
	for _, name := range x.rows {
		named[name] = true
	}
	for _, row := range rows {
		if row.named && !named[row.name] {
			continue
		}
		delete(named, row.name)
		if next := row.want(p, x, r, want); next != want {
			want = next
			used = append(used, row.name)
		}
	}
	for name := range named {
		return seen{body: "there is no row " + name}, []string{name}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range used {
		l.used[name]++
	}
	return want, used
}

// dead reports the rows that nothing needed.
func (l *ledger) dead(t *testing.T) {
	t.Helper()
	for _, r := range rows {
		if l.used[r.name] == 0 {
			t.Errorf("the row %q was never needed", r.name)
		}
	}
}

// rows are all that may differ. The numbers are the sections of the wire contract.
var rows = []row{
	// What newer versions of SimpleJWT and PyJWT answer (17).
	{
		name: "the text of a bad token", cites: "the text of a bad token",
		want: func(p profile, x inquiry, _ request, s seen) seen {
			if p.legacy() {
				return s
			}
			text := textInvalid
			if x.expired {
				text = textExpired
			}
			s.body = strings.ReplaceAll(s.body, "Token is invalid or expired", text)
			return s
		},
	},
	{
		name: "user_id is text", cites: "`user_id` in new tokens",
		want: func(p profile, x inquiry, r request, s seen) seen {
			if !p.legacy() && (pathOf(r) == "/api/token/" || pathOf(r) == "/api/token/sliding/" || x.own) {
				s.body = numericUser.ReplaceAllString(s.body, `"$1":"$2"`)
			}
			return s
		},
	},
	{
		name: "iat of a refreshed access token", cites: "`iat` of a refreshed access token",
		want: func(_ profile, _ inquiry, r request, s seen) seen {
			if pathOf(r) == "/api/token/refresh/" && s.status == http.StatusOK {
				s.body = copiedMoment.ReplaceAllString(s.body, "${1}now+0s,")
			}
			return s
		},
	},
	{
		name: "the digest of the password", cites: "`CHECK_REVOKE_TOKEN`",
		want: func(p profile, x inquiry, r request, s seen) seen {
			if p.revokes() && (pathOf(r) == "/api/token/" || x.own) {
				s.body = ownUser.ReplaceAllString(s.body, `$0,"hash_password":a digest`)
			}
			return s
		},
	},
	{name: "nobody", cites: "a refresh of a user who is gone or disabled", named: true, want: noAccountForToken},
	{name: "inactive", cites: "a refresh of a user who is gone or disabled", named: true, want: noAccountForToken},
	{name: "strings", cites: "`jti`, `sub` or `kid` that is no string", named: true, want: refusedAs(textInvalid)},

	// What crashes the original (12.3).
	{name: "crash: times", cites: "a time claim of the wrong type", named: true, want: whereItCrashes(refusedAs(textInvalid))},
	{name: "crash: no jti", cites: "a refresh token without `jti`", named: true, want: whereItCrashes(noID)},
	{name: "crash: refresh_exp", cites: "`refresh_exp` that is no time", named: true, want: whereItCrashes(refusedAs(textInvalid))},
	{name: "no id", cites: "a `user_id` that cannot be an id", named: true, want: unknownUser},
	{
		name: "crash: deep JSON", cites: "JSON nested beyond a thousand levels", named: true,
		want: whereItCrashes(func(p profile, x inquiry, r request, s seen) seen {
			at := 1000 * (1 + strings.Index(r.body[1:], r.body[:1])) // behind a thousand brackets
			return wholly(http.StatusBadRequest, fmt.Sprintf(`{"detail":"JSON parse error - Nesting is too deep: line 1 column %d (char %d)"}`, at+1, at))(p, x, r, s)
		}),
	},
	{name: "crash: content type", cites: "a `Content-Type` or an `Accept` that is not ASCII", named: true, want: whereItCrashes(wholly(http.StatusUnsupportedMediaType, "{\"detail\":\"Unsupported media type \\\"text/\ufffd\\\" in request.\"}"))},
	{name: "crash: Accept", cites: "a `Content-Type` or an `Accept` that is not ASCII", named: true, want: whereItCrashes(wholly(http.StatusNotAcceptable, `{"detail":"Could not satisfy the request Accept header."}`))},

	// What gatehouse answers otherwise on purpose.
	{name: "twice", cites: "a token in which a member occurs twice", named: true, want: refusedAs(textInvalid)},
	{name: "header members", cites: "a header with `crit`", named: true, want: refusedAs(textInvalid)},
	{name: "NaN", cites: "a header with `crit`", named: true, want: refusedAs(textInvalid)},
	{name: "byte order mark", cites: "a payload that begins with a byte order mark", named: true, want: refusedAs(textInvalid)},
	{name: "base64", cites: "base64 with padding", named: true, want: refusedAs(textInvalid)},
	{name: "foreign digits", cites: "a `user_id` in digits that are not ASCII", named: true, want: unknownUser},
	{name: "large body", cites: "a body of more than 64 KiB", named: true, want: wholly(http.StatusRequestEntityTooLarge, `{"detail":"Request body is larger than 65536 bytes."}`)},
	{name: "chunked body", cites: "a chunked body", named: true, want: refusedAs(textInvalid)},
	{name: "long token", cites: "a token of more than 16 KiB", named: true, want: refusedAs(textInvalid)},
	{name: "too many fields", cites: "a form of more than 1000 fields", named: true, want: wholly(http.StatusBadRequest, `{"detail":"Form parse error - More than 1000 fields"}`)},
	{name: "other charsets", cites: "`charset` of utf-7", named: true, want: refusedAs(textInvalid)},
	{
		name: "escapes", cites: "`%2F` in the path of an endpoint", named: true,
		want: func(_ profile, _ inquiry, r request, _ seen) seen {
			if strings.Contains(r.target, "%2F") {
				return seen{http.StatusNotFound, "Content-Type: application/json\n", `{"detail":"Not found."}`}
			}
			return seen{http.StatusBadRequest, "Content-Type: application/json\n", malformed}
		},
	},
	{
		name: "a wrong path", cites: "a wrong path below `/api/token/`",
		want: func(_ profile, _ inquiry, _ request, s seen) seen {
			if s.status == http.StatusNotFound && strings.HasPrefix(s.header, "Content-Type: text/html\n") {
				return seen{http.StatusNotFound, "Content-Type: application/json\n", `{"detail":"Not found."}`}
			}
			return s
		},
	},
	{name: "sliding off", cites: "where the views are mounted", named: true, want: func(profile, inquiry, request, seen) seen {
		return seen{http.StatusNotFound, "Content-Type: application/json\n", `{"detail":"Not found."}`}
	}},
	{
		name: "accept on a route", cites: "`Accept` on a route that is forwarded", named: true,
		want: func(p profile, _ inquiry, r request, _ seen) seen {
			return p.refused(r, `{"detail":"Authentication credentials were not provided."}`)
		},
	},
	{name: "two headers", cites: "two headers with a token", named: true, want: wholly(http.StatusBadRequest, malformed)},
	{
		name: "white space", cites: "white space other than space and tab", named: true,
		want: func(profile, inquiry, request, seen) seen { return brokenHTTP },
	},
	{
		name: "ended sessions", cites: "a new password, or a user who was disabled", named: true,
		want: func(p profile, _ inquiry, r request, _ seen) seen { return refusedToken(p, r, "Token is blacklisted") },
	},
	{
		name: "new password", cites: "a new password, or a user who was disabled", named: true,
		want: func(p profile, _ inquiry, r request, _ seen) seen {
			switch {
			case !p.revokes():
				return refusedToken(p, r, "Token is blacklisted")
			case isEndpoint(r):
				return p.refused(r, `{"detail":"The user's password has been changed."}`)
			}
			return p.refused(r, `{"detail":"The user's password has been changed.","code":"password_changed"}`)
		},
	},
	{name: "charset of a form", cites: "`charset` of utf-7", named: true, want: wholly(http.StatusUnauthorized, `{"detail":"No active account found with the given credentials"}`)},
	{name: "malformed multipart", cites: "multipart with bare line feeds", named: true, want: wholly(http.StatusBadRequest, `{"username":["This field is required."],"password":["This field is required."]}`)},
	{
		name: "multipart in capitals", cites: "`multipart/form-data` in capitals", named: true,
		want: func(p profile, _ inquiry, _ request, _ seen) seen { return loggedIn(p, "9") },
	},

	// Behind all that says who the user is.
	{
		name: "a token of before the password", cites: "`CHECK_REVOKE_TOKEN`",
		want: func(p profile, x inquiry, r request, s seen) seen {
			if !p.revokes() || x.own || x.ours || s.status != http.StatusOK && s.status != http.StatusForbidden || !isOutdated(r) {
				return s
			}
			switch {
			case !isEndpoint(r):
				return p.refused(r, `{"detail":"The user's password has been changed.","code":"password_changed"}`)
			case pathOf(r) == "/api/token/refresh/":
				return p.refused(r, `{"detail":"The user's password has been changed."}`)
			}
			return s
		},
	},
	{
		name: "blacklisted with the password", cites: "`CHECK_REVOKE_TOKEN`", named: true,
		want: func(p profile, _ inquiry, r request, s seen) seen {
			if p.revokes() && s.status == http.StatusOK {
				return refusedToken(p, r, "Token is blacklisted")
			}
			return s
		},
	},
}

// The texts of newer versions.
const (
	textInvalid = "Token is invalid"
	textExpired = "Token is expired"
)

var (
	numericUser  = regexp.MustCompile(`"(user_id|uid)":(\d+)`)
	ownUser      = regexp.MustCompile(`"user_id":"\d+"`)
	bareToken    = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)
	copiedMoment = regexp.MustCompile(`("access":signed token [^ ]* {"[a-z_]*":"access","exp":[^,]*,"iat":)[^,]*,`)
)

const methods = "Allow: POST, OPTIONS\n"

func pathOf(r request) string {
	path, _, _ := strings.Cut(r.target, "?")
	return path
}

func isEndpoint(r request) bool { return strings.HasPrefix(r.target, "/api/token") }

// legacy tells whether gatehouse is told to answer as older versions do.
func (p profile) legacy() bool { return strings.Contains(p.tokens, "legacy") }

// refused is a 401 of an endpoint or of a view.
func (p profile) refused(r request, body string) seen {
	s := seen{http.StatusUnauthorized, "Content-Type: application/json\nWww-Authenticate: " + p.names()["Bearer"] + " realm=\"api\"\n", body}
	if isEndpoint(r) {
		s.header += methods
	}
	return s
}

// refusedToken is the 401 of an endpoint or of a view.
func refusedToken(p profile, r request, text string) seen {
	if p.legacy() && (text == textInvalid || text == textExpired) {
		text = "Token is invalid or expired"
	}
	if isEndpoint(r) {
		return p.refused(r, `{"detail":"`+text+`","code":"token_not_valid"}`)
	}
	messages := `{"token_class":"AccessToken","token_type":"access","message":"` + text + `"}`
	if p.name == "sliding" {
		messages += `,{"token_class":"SlidingToken","token_type":"sliding","message":"` + text + `"}`
	}
	return p.refused(r, `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[`+messages+`]}`)
}

func refusedAs(text string) func(profile, inquiry, request, seen) seen {
	return func(p profile, _ inquiry, r request, _ seen) seen { return refusedToken(p, r, text) }
}

func whereItCrashes(want func(profile, inquiry, request, seen) seen) func(profile, inquiry, request, seen) seen {
	return func(p profile, x inquiry, r request, s seen) seen {
		if s.status != http.StatusInternalServerError {
			return s
		}
		return want(p, x, r, s)
	}
}

// malformed is the body of a refusal that the original does not know; what follows is
// gatehouse's own to say.
const malformed = `{"detail":"Malformed request: …`

// revokes tells whether tokens die with the password.
func (p profile) revokes() bool { return strings.Contains(p.settings, "CHECK_REVOKE_TOKEN") }

// isOutdated tells whether the token in a request is one of a user, and not of the
// password that the user has.
func isOutdated(r request) bool {
	token := bareToken.FindString(r.text())
	if token == "" {
		return false
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return false
	}
	switch id := claims["user_id"].(type) {
	case nil:
		return false
	case string:
		return id != "" && (id != idle || claims["hash_password"] != idleDigest)
	case float64:
		return id != 0
	case bool:
		return id
	case []any:
		return len(id) > 0
	case map[string]any:
		return len(id) > 0
	}
	return true
}

// brokenHTTP is what the HTTP server of Go says of a request that is none.
var brokenHTTP = seen{http.StatusBadRequest, "Content-Type: text/plain; charset=utf-8\n", "400 Bad Request"}

// wholly is an answer of an endpoint, whatever the original says.
func wholly(status int, body string) func(profile, inquiry, request, seen) seen {
	return func(p profile, _ inquiry, r request, _ seen) seen {
		s := seen{status, "Content-Type: application/json\n", body}
		if status == http.StatusUnauthorized {
			return p.refused(r, body)
		}
		if isEndpoint(r) {
			s.header += methods
		}
		return s
	}
}

// noID is said where the blacklist is asked for an id that is not there.
func noID(p profile, x inquiry, r request, _ seen) seen {
	if strings.Contains(x.name, "-exp") || strings.Contains(x.name, "{}") {
		return refusedToken(p, r, "Token has no 'exp' claim")
	}
	return refusedToken(p, r, "Token has no id")
}

// loggedIn is the pair for a user.
func loggedIn(p profile, id string) seen {
	names := p.names()
	if !p.legacy() {
		id = `"` + id + `"`
	}
	token := func(kind, lifetime string) string {
		return fmt.Sprintf(`signed token {"alg":"HS256","typ":"JWT"} {"%s":"%s","exp":now+%s,"iat":now+0s,"%s":a UUID,"%s":%s%s}`,
			names["token_type"], kind, lifetime, names["jti"], names["user_id"], id, p.last)
	}
	access, refresh := p.lifetimes()[0], p.lifetimes()[1]
	return seen{http.StatusOK, "Content-Type: application/json\n" + methods, fmt.Sprintf(`{"refresh":%s,"access":%s}`, token("refresh", refresh.String()), token("access", access.String()))}
}

func noAccountForToken(p profile, _ inquiry, r request, s seen) seen {
	if strings.HasSuffix(pathOf(r), "/refresh/") && s.status == http.StatusOK {
		return p.refused(r, `{"detail":"No active account found for the given token."}`)
	}
	return s
}

// unknownUser is the answer to an id that nobody can have.
func unknownUser(p profile, x inquiry, r request, s seen) seen {
	if !isEndpoint(r) && s.status != http.StatusUnauthorized {
		return p.refused(r, `{"detail":"User not found","code":"user_not_found"}`)
	}
	return noAccountForToken(p, x, r, s)
}
