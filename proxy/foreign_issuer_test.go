package proxy_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"gatehouse/proxy"
	"gatehouse/tokens"
)

// provider is an OpenID Connect provider that we did not write. It publishes the key
// that it signs with and the one before; which is which, changes.
type provider struct {
	*mockoidc.MockOIDC
	mu       sync.Mutex
	previous *mockoidc.Keypair
	turns    atomic.Int64
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{MockOIDC: m}
	p.rotate(t)
	// Its handlers read the key as it is; ours keeps it still for each of them.
	err = m.AddMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if r.URL.Path == mockoidc.JWKSEndpoint && p.previous != nil {
				p.both(t, w)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(listener, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Shutdown() })
	return p
}

// rotate lets a new key sign.
func (p *provider) rotate(t *testing.T) {
	t.Helper()
	next, err := mockoidc.RandomKeypair(2048)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turns.Add(1) > 1 {
		p.previous = p.Keypair
	}
	p.Keypair = next
}

// both answers with the sets of both keys in one.
func (p *provider) both(t *testing.T, w http.ResponseWriter) {
	var all struct {
		Keys []json.RawMessage `json:"keys"`
	}
	for _, pair := range []*mockoidc.Keypair{p.Keypair, p.previous} {
		text, err := pair.JWKS()
		var one struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err == nil {
			err = json.Unmarshal(text, &one)
		}
		if err != nil {
			t.Error(err)
		}
		all.Keys = append(all.Keys, one.Keys...)
	}
	_ = json.NewEncoder(w).Encode(all)
}

// login goes the way of a browser and an application, and returns an access token.
func (p *provider) login(t *testing.T) (token string, turn int64) {
	t.Helper()
	turn = p.turns.Load()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(p.AuthorizationEndpoint() + "?" + url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID}, "scope": {"openid email groups"}, "state": {"s"}, "nonce": {"n"}, "redirect_uri": {"http://app.test/"},
	}.Encode())
	if err != nil {
		t.Error(err)
		return "", 0
	}
	_ = answer.Body.Close()
	to, err := url.Parse(answer.Header.Get("Location"))
	if err != nil {
		t.Error(err)
		return "", 0
	}
	answer, err = client.PostForm(p.TokenEndpoint(), url.Values{
		"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "client_id": {p.ClientID}, "client_secret": {p.ClientSecret}, "redirect_uri": {"http://app.test/"},
	})
	if err != nil {
		t.Error(err)
		return "", 0
	}
	defer answer.Body.Close()
	var body struct {
		IDToken string `json:"id_token"`
	}
	text, _ := io.ReadAll(answer.Body)
	if err := json.Unmarshal(text, &body); err != nil || body.IDToken == "" {
		t.Errorf("login: %d %s", answer.StatusCode, text)
	}
	return body.IDToken, turn
}

// TestARealIssuerRotatesUnderLoad: users of an OpenID Connect provider log in there and
// call here, while it changes its keys again and again. Nobody is refused who holds a
// token of one of the two keys that it publishes, and older ones are.
func TestARealIssuerRotatesUnderLoad(t *testing.T) {
	p := newProvider(t)
	var ahead atomic.Int64 // how much later it is for the gateway than it is
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	settings := tokens.DefaultConfig()
	settings.Keys = nil
	settings.TrustedIssuers = []tokens.TrustedIssuer{{
		Issuer: p.Issuer(), Discovery: true, AllowHTTP: true, Audience: []string{p.ClientID}, Algorithms: []string{"RS256"}, Timeout: time.Minute,
		EmailClaim: []string{"email"}, GroupsClaim: []string{"groups"}, Prefix: "oidc:",
	}}
	authority, err := tokens.New(settings, tokens.Parts{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	authority.Start()
	t.Cleanup(authority.Close)
	w := &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	gateway, err := proxy.New(cfg, proxy.Parts{Verifier: authority.Verifier(), Endpoints: authority.Endpoints(), Logger: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)

	first, _ := p.login(t)
	if got := w.get("/x", "Authorization: Bearer "+first); got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.Text)
	}
	if got := w.only().Header; !strings.HasPrefix(got.Get("X-User-Id"), "oidc:") || got.Get("X-User-Email") != "jane.doe@example.com" || got.Get("X-User-Groups") != "engineering,design" {
		t.Errorf("the backend got %v", got)
	}

	stop := make(chan struct{})
	var crowd sync.WaitGroup
	var asked atomic.Int64
	var have [4]atomic.Int64 // the turn of the token that each of them was let in with
	for i := range have {
		crowd.Go(func() {
			client := &http.Client{}
			token, turn := "", int64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if turn != p.turns.Load() {
					if token, turn = p.login(t); token == "" {
						return
					}
				}
				in, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.addr+"/x", nil)
				if err != nil {
					t.Error(err)
					return
				}
				in.Host = "app.example.com"
				in.Header.Set("Authorization", "Bearer "+token)
				answer, err := client.Do(in)
				if err != nil {
					t.Error(err)
					return
				}
				text, _ := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					t.Errorf("a token of the key before or of this one: %d %s", answer.StatusCode, text)
					return
				}
				asked.Add(1)
				have[i].Store(turn)
			}
		})
	}
	const turns = 5
	for range turns {
		// Nobody is on their way with a token of the key that goes now.
		eventually(t, "answer to everybody with a token of this turn", func() bool {
			for i := range have {
				if have[i].Load() != p.turns.Load() && !t.Failed() {
					return false
				}
			}
			return true
		})
		before, _ := p.login(t)
		ahead.Add(int64(6 * time.Second)) // or the gateway would not ask again so soon
		p.rotate(t)
		after, _ := p.login(t)
		for name, token := range map[string]string{"of the new key": after, "of the one before": before} {
			if got := w.get("/x", "Authorization: Bearer "+token); got.StatusCode != http.StatusOK {
				t.Errorf("a token %s: %d %s", name, got.StatusCode, got.Text)
			}
		}
	}
	close(stop)
	crowd.Wait()
	if got := w.get("/x", "Authorization: Bearer "+first); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token of a key that is gone: %d %s", got.StatusCode, got.Text)
	}
	if n := asked.Load(); n < 4*turns {
		t.Errorf("only %d requests", n)
	}
	t.Logf("%d requests through %d changes of keys, none refused", asked.Load(), turns)
}

// TestAttackAnUnknownIssuerOnAnOptionalRoute: who shows a token of an issuer that nobody
// trusts is refused, and not taken for somebody without a token (CVE-2021-21378).
func TestAttackAnUnknownIssuerOnAnOptionalRoute(t *testing.T) {
	p, stranger := newProvider(t), newProvider(t)
	settings := tokens.DefaultConfig()
	settings.TrustedIssuers = []tokens.TrustedIssuer{{
		Issuer: p.Issuer(), Discovery: true, AllowHTTP: true, Audience: []string{p.ClientID}, Algorithms: []string{"RS256"}, Timeout: time.Minute,
	}}
	authority, err := tokens.New(settings, tokens.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(authority.Close)
	w := &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	gateway, err := proxy.New(cfg, proxy.Parts{Verifier: authority.Verifier(), Endpoints: authority.Endpoints(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)
	token, _ := stranger.login(t)
	if got := w.get("/optional/x", "Authorization: Bearer "+token); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger's token: %d %s", got.StatusCode, got.Text)
	}
	w.untouched()
	token, _ = p.login(t)
	if got := w.get("/optional/x", "Authorization: Bearer "+token); got.StatusCode != http.StatusOK || w.only().Header.Get("X-User-Id") == "" {
		t.Errorf("a good one: %d %s", got.StatusCode, got.Text)
	}
}
