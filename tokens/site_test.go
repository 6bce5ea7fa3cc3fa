package tokens_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// secret is the key of most tests.
const secret = "an-example-signing-key-of-32-bytes!!"

// usual is the header of every HS256 token that SimpleJWT makes.
const usual = `{"alg":"HS256","typ":"JWT"}`

// start is when tests begin, in the middle of a second.
var start = time.Unix(1_700_000_000, 250_000_000)

// site is an authority behind a listener, with a store in a file and a clock that stands still.
type site struct {
	*testing.T
	*tokens.Authority
	store  *users.Store
	server *httptest.Server
	log    *logBuffer
	clock  *atomic.Int64 // unix nanoseconds
	alice  users.User    // testuser / testpassword
}

// logBuffer is written by handlers and read by tests.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

// take returns what was logged since the last time.
func (b *logBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.text.Reset()
	return b.text.String()
}

func settings() tokens.Config {
	cfg := tokens.DefaultConfig()
	cfg.Keys = []keys.Config{{ID: "main", Algorithm: "HS256", Secret: secret}}
	return cfg
}

func open(t *testing.T, change ...func(*tokens.Config)) *site {
	t.Helper()
	return openFor(t, tokens.DefaultLogin(), change...)
}

// openFor is open with another section `login`.
func openFor(t *testing.T, login tokens.Login, change ...func(*tokens.Config)) *site {
	t.Helper()
	cfg := settings()
	for _, f := range change {
		f(&cfg)
	}
	s := &site{T: t, log: &logBuffer{}, clock: &atomic.Int64{}}
	s.clock.Store(start.UnixNano())
	s.store = userstest.Open(t, userstest.Now(s.now))
	s.alice = userstest.Add(t, s.store, users.NewUser{
		Username: "testuser", Password: "testpassword", Email: "t@example.com", Groups: []string{"staff"},
	})
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if s.Authority, err = tokens.New(cfg, tokens.Parts{Store: s.store, Login: login, Logger: logger, Now: s.now}); err != nil {
		t.Fatal(err)
	}
	paths := map[string]http.Handler{}
	for _, e := range s.Endpoints() {
		paths[e.Path] = e.Handler
	}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := paths[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) now() time.Time        { return time.Unix(0, s.clock.Load()) }
func (s *site) pass(d time.Duration)  { s.clock.Add(int64(d)) }
func (s *site) setActive(active bool) { s.change(users.Change{Active: &active}) }
func (s *site) change(c users.Change) { s.must(s.store.UpdateUser(s.Context(), "testuser", c)) }
func (s *site) must(_ any, err error) { s.Helper(); s.ok(err) }
func (s *site) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// post sends fields as JSON and returns status, headers and body.
func (s *site) post(path string, fields map[string]string) (int, http.Header, string) {
	s.Helper()
	body, err := json.Marshal(fields)
	s.ok(err)
	in, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.server.URL+path, bytes.NewReader(body))
	s.ok(err)
	in.Header.Set("Content-Type", "application/json")
	return s.send(in)
}

func (s *site) send(in *http.Request) (int, http.Header, string) {
	s.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	out, err := client.Do(in)
	s.ok(err)
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	s.ok(err)
	return out.StatusCode, out.Header, string(body)
}

// expect posts and compares status and whole body; a 401 must have the challenge and nothing else may.
func (s *site) expect(path string, fields map[string]string, status int, body string) {
	s.Helper()
	gotStatus, header, gotBody := s.post(path, fields)
	if gotStatus != status || gotBody != body {
		s.Errorf("POST %s: got %d %s\nwant %d %s", path, gotStatus, gotBody, status, body)
	}
	want := ""
	if status == http.StatusUnauthorized {
		want = `Bearer realm="api"`
	}
	if got := header.Get("WWW-Authenticate"); got != want {
		s.Errorf("POST %s: WWW-Authenticate is %q, want %q", path, got, want)
	}
	if got := header.Get("Content-Type"); got != "application/json" {
		s.Errorf("POST %s: Content-Type is %q", path, got)
	}
	if got := header.Get("Allow"); got != "POST, OPTIONS" {
		s.Errorf("POST %s: Allow is %q", path, got)
	}
}

// login obtains a pair.
func (s *site) login() (access, refresh string) {
	s.Helper()
	status, _, body := s.post("/api/token/", map[string]string{"username": "testuser", "password": "testpassword"})
	var pair struct{ Access, Refresh string }
	if err := json.Unmarshal([]byte(body), &pair); status != http.StatusOK || err != nil {
		s.Fatalf("login: %d %s", status, body)
	}
	return pair.Access, pair.Refresh
}

// bearer is what a protected route says to a token: "" lets it pass.
func (s *site) bearer(token string) string {
	s.Helper()
	principal, err := s.Verifier().Verify(s.Context(), token)
	if err == nil {
		if principal == nil {
			s.Fatal("neither a principal nor an error")
		}
		return ""
	}
	if principal != nil {
		s.Errorf("a refusal came with the principal %v", principal)
	}
	rejection, ok := errors.AsType[*tokens.Rejection](err)
	if !ok {
		s.Fatalf("not a rejection: %v", err)
	}
	recorder := httptest.NewRecorder()
	rejection.Answer().Write(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if recorder.Code != http.StatusUnauthorized || recorder.Header().Get("WWW-Authenticate") != `Bearer realm="api"` {
		s.Errorf("a refusal is %d with the challenge %q", recorder.Code, recorder.Header().Get("WWW-Authenticate"))
	}
	if rejection.Reason == "" || strings.Contains(rejection.Reason, " ") || strings.Contains(err.Error(), token) && token != "" {
		s.Errorf("unfit for a log: reason %q, error %q", rejection.Reason, err)
	}
	return recorder.Body.String()
}

// badBearer is the body for a token that is no good by itself.
func badBearer(message string) string {
	return `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"` + message + `"}]}`
}

// coded is the body of an endpoint for the same.
func coded(message string) string { return `{"detail":"` + message + `","code":"token_not_valid"}` }

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// seal signs what stands there, by hand and not by the code under test.
func seal(header, payload string) string { return sealParts(encode(header), encode(payload)) }

func sealParts(header, payload string) string { return sealWith(secret, header, payload) }

func sealWith(key, header, payload string) string {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprint(mac, header, ".", payload)
	return header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// claims makes a payload of the members given.
func claims(members ...string) string { return "{" + strings.Join(members, ",") + "}" }

// sec is a moment as a claim, so many seconds after start.
func sec(after int64) string { return fmt.Sprint(start.Unix() + after) }

// payloadOf decodes the second segment.
func payloadOf(t testing.TB, token string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
