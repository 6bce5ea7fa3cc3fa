package remote_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/tokens/keys"
	"gatehouse/tokens/remote"
)

// jwk is a public key with that ID; the key is the same each time.
func jwk(id string) string {
	public := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`, id, base64.RawURLEncoding.EncodeToString(public))
}

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func yes(*keys.Key) bool { return true }

// open makes a source of the URL; change says what is otherwise.
func open(t *testing.T, url string, change func(*remote.Config)) *remote.Source {
	t.Helper()
	cfg := remote.Config{
		Issuer: url, JWKSURL: url + "/jwks", Algorithms: []string{"EdDSA"}, AllowHTTP: true,
		Refresh: time.Hour, MaxStale: 24 * time.Hour, Timeout: time.Minute,
	}
	if change != nil {
		change(&cfg)
	}
	s, err := remote.New(cfg, remote.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// answering serves one answer at /jwks.
func answering(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// TestAttackTheSourceOfKeys: what a source, or who sits in its place, may answer
// costs bounded time and memory, and leads nowhere else (CVE-2026-41413).
func TestAttackTheSourceOfKeys(t *testing.T) {
	var trapped atomic.Int64
	trap := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		trapped.Add(1)
		fmt.Fprint(w, set(jwk("one")))
	})
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"a redirect to another server", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, trap.URL+"/jwks", http.StatusFound)
		}, "redirects to another server"},
		{"a redirect to the same host on another port", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, trap.URL, http.StatusMovedPermanently)
		}, "redirects to another server"},
		{"a redirect into a file", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}, "redirects to another server"},
		{"redirects without end", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		}, "again and again"},
		{"an answer without end", func(w http.ResponseWriter, _ *http.Request) {
			for range 4096 {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		}, "more than 1048576 bytes"},
		{"nothing", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "did not answer in time"},
		{"a body that stops", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"keys":[`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "broke off"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, set(jwk("one")), http.StatusForbidden) }, "status 403"},
		{"nothing new", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "status 204"},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>sign in</html>") }, "no JWK Set"},
		{"another object", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, jwk("one")) }, "no JWK Set"},
		{"null", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "null") }, "no JWK Set"},
		{"more keys than anybody has", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, set(strings.Repeat(jwk("one")+",", 100)+jwk("one")))
		}, "101 keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.handler)
			t.Cleanup(server.Close)
			// Some say nothing more until the time is over, and a machine that is busy may need more of it for the rest.
			for _, timeout := range []time.Duration{500 * time.Millisecond, 5 * time.Second, 20 * time.Second} {
				s := open(t, server.URL, func(c *remote.Config) { c.Timeout = timeout })
				key, err := s.Signer(t.Context(), "EdDSA", "one", yes)
				if key != nil || !errors.Is(err, remote.ErrUnavailable) {
					t.Fatalf("got %v, %v", key, err)
				}
				if state := s.State(); state.Usable || state.Err == nil {
					t.Errorf("got %+v", state)
				}
				if strings.Contains(err.Error(), c.want) {
					return
				}
				t.Logf("within %v: %v", timeout, err)
			}
			t.Errorf("it does not say %q", c.want)
		})
	}
	t.Cleanup(func() {
		if trapped.Load() > 0 {
			t.Error("a redirect to another server was followed")
		}
	})
}

func TestARedirectOnTheSameServer(t *testing.T) {
	server := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/jwks" {
			http.Redirect(w, r, "/keys/v2", http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, set(jwk("one")))
	})
	if key, err := open(t, server.URL, nil).Signer(t.Context(), "EdDSA", "one", yes); key == nil || err != nil {
		t.Errorf("got %v, %v", key, err)
	}
}

func TestDiscovery(t *testing.T) {
	for _, c := range []struct{ name, document, want string }{
		{"a good one", `{"issuer":"ISSUER","jwks_uri":"ISSUER/elsewhere"}`, ""},
		{"of another issuer", `{"issuer":"https://evil.example","jwks_uri":"ISSUER/elsewhere"}`, "is that of"},
		{"of one with a slash more", `{"issuer":"ISSUER/","jwks_uri":"ISSUER/elsewhere"}`, "is that of"},
		{"of nobody", `{"jwks_uri":"ISSUER/elsewhere"}`, "is that of"},
		{"without keys", `{"issuer":"ISSUER"}`, "cannot be used: it is no URL"},
		{"a file", `{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`, "cannot be used"},
		{"keys with a password", `{"issuer":"ISSUER","jwks_uri":"http://a:b@127.0.0.1/"}`, "has a user or password"},
		{"no JSON", `<html>`, "no JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var server *httptest.Server
			server = answering(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/.well-known/openid-configuration":
					fmt.Fprint(w, strings.ReplaceAll(c.document, "ISSUER", server.URL))
				case "/elsewhere":
					fmt.Fprint(w, set(jwk("one")))
				}
			})
			s := open(t, server.URL, func(c *remote.Config) { c.JWKSURL, c.Discovery = "", true })
			key, err := s.Signer(t.Context(), "EdDSA", "one", yes)
			if c.want == "" && (key == nil || err != nil) || c.want != "" && (key != nil || err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, %v", key, err)
			}
		})
	}
	// Over https, discovery must not lead to keys over http.
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"http://127.0.0.1/jwks"}`, server.URL)
	}))
	t.Cleanup(server.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	s := open(t, server.URL, func(c *remote.Config) { c.JWKSURL, c.Discovery, c.AllowHTTP, c.CA = "", true, false, ca })
	if _, err := s.Signer(t.Context(), "EdDSA", "one", yes); err == nil || !strings.Contains(err.Error(), "it is http") {
		t.Errorf("keys over http: %v", err)
	}
}

func TestWhoseCertificateIsBelieved(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, set(jwk("one"))) }))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if key, err := open(t, server.URL, func(c *remote.Config) { c.AllowHTTP, c.CA = false, ca }).Signer(t.Context(), "EdDSA", "one", yes); key == nil {
		t.Errorf("an authority of ours: %v", err)
	}
	if key, err := open(t, server.URL, func(c *remote.Config) { c.AllowHTTP = false }).Signer(t.Context(), "EdDSA", "one", yes); key != nil || !errors.Is(err, remote.ErrUnavailable) {
		t.Errorf("nobody's authority: %v, %v", key, err)
	}
}

func TestWhichKeysOfASetAreUsed(t *testing.T) {
	const rsa = `"kty":"RSA","e":"AQAB","n":"` + // 2048 bits, of RFC 7515, appendix A.2
		`ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"`
	for _, c := range []struct {
		name, key, algorithm string
		used                 bool
	}{
		{"for its algorithm", `{` + rsa + `,"alg":"RS256","use":"sig","kid":"a"}`, "RS256", true},
		{"for another of its kind", `{` + rsa + `,"alg":"PS256","kid":"a"}`, "RS256", false},
		{"for one that is not configured", `{` + rsa + `,"alg":"RS512","kid":"a"}`, "RS512", false},
		{"for any of its kind", `{` + rsa + `,"kid":"a"}`, "RS256", true},
		{"for the other of its kind", `{` + rsa + `,"kid":"a"}`, "PS256", true},
		{"for one of another kind", `{` + rsa + `,"kid":"a"}`, "EdDSA", false},
		{"to encrypt", `{` + rsa + `,"use":"enc","kid":"a"}`, "RS256", false},
		{"to wrap keys", `{` + rsa + `,"key_ops":["wrapKey"],"kid":"a"}`, "RS256", false},
		{"to verify", `{` + rsa + `,"key_ops":["verify"],"kid":"a"}`, "RS256", true},
		{"a certificate that says something else", `{` + rsa + `,"x5c":["AAAA"],"x5u":"https://evil.example/","kid":"a"}`, "RS256", true},
		{"a private key", `{` + rsa + `,"d":"AAAA","kid":"a"}`, "RS256", false},
		{"a small key", `{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("r", 170) + `","kid":"a"}`, "RS256", false},
		{"a secret", `{"kty":"oct","k":"` + strings.Repeat("A", 64) + `","kid":"a"}`, "RS256", false},
		{"a point beside the curve", `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","kid":"a"}`, "ES256", false},
		{"a point on it", `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"a"}`, "ES256", true},
		{"a kind to come", `{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA","kid":"a"}`, "RS256", false},
		{"no key", `7`, "RS256", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Beside one that is fine: a key that is not for us spoils no set.
			server := answering(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, set(c.key, jwk("fine"))) })
			s := open(t, server.URL, func(c *remote.Config) { c.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"} })
			key, err := s.Signer(t.Context(), c.algorithm, "a", yes)
			if (key != nil) != c.used || err != nil {
				t.Errorf("got %v, %v", key, err)
			}
			if key, err := s.Signer(t.Context(), "EdDSA", "fine", yes); key == nil || err != nil {
				t.Errorf("the one beside it: %v, %v", key, err)
			}
		})
	}
}

// TestManyWaitForOneFetch: requests with a key that is new come all at once when an
// issuer rotates without warning. None is refused, and one fetch serves all.
func TestManyWaitForOneFetch(t *testing.T) {
	var fetches atomic.Int64
	var rotated atomic.Bool
	server := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		time.Sleep(50 * time.Millisecond)
		if rotated.Load() {
			fmt.Fprint(w, set(jwk("one"), jwk("two")))
			return
		}
		fmt.Fprint(w, set(jwk("one")))
	})
	s := open(t, server.URL, nil)
	ask := func(id string) {
		t.Helper()
		var crowd sync.WaitGroup
		for range 100 {
			crowd.Go(func() {
				if key, err := s.Signer(t.Context(), "EdDSA", id, yes); key == nil || err != nil {
					t.Errorf("%s: %v, %v", id, key, err)
				}
			})
		}
		crowd.Wait()
	}
	ask("one")
	rotated.Store(true)
	ask("two")
	if n := fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestWhoWaitsMayGoAway(t *testing.T) {
	let := make(chan struct{})
	server := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		<-let
		fmt.Fprint(w, set(jwk("one")))
	})
	s := open(t, server.URL, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Signer(ctx, "EdDSA", "one", yes); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone: %v", err)
	}
	close(let)
	if key, err := s.Signer(t.Context(), "EdDSA", "one", yes); key == nil || err != nil {
		t.Errorf("who has stayed: %v, %v", key, err)
	}
}

func TestKeysAreFetchedBeforeTheyAreNeeded(t *testing.T) {
	server := answering(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, set(jwk("one"))) })
	s := open(t, server.URL, nil)
	if s.State().Usable {
		t.Error("it fetched before it was told to")
	}
	s.Start()
	s.Start()
	for deadline := time.Now().Add(60 * time.Second); !s.State().Usable; {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was fetched: %+v", s.State())
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Close()
	s.Close()
	if key, err := s.Signer(t.Context(), "EdDSA", "one", yes); key == nil || err != nil {
		t.Errorf("what was fetched is gone when it is closed: %v, %v", key, err)
	}
}

// TestAKeyThatStaysIsTheSame: what is remembered of tokens goes by the key.
func TestAKeyThatStaysIsTheSame(t *testing.T) {
	var answer atomic.Pointer[string]
	say := func(text string) { answer.Store(&text) }
	server := answering(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, *answer.Load()) })
	say(set(jwk("one")))
	s := open(t, server.URL, nil)
	first, err := s.Signer(t.Context(), "EdDSA", "one", yes)
	if err != nil {
		t.Fatal(err)
	}
	say(set(jwk("two"), jwk("one")))
	if _, err := s.Signer(t.Context(), "EdDSA", "two", yes); err != nil {
		t.Fatal(err)
	}
	if second, _ := s.Signer(t.Context(), "EdDSA", "one", yes); second != first || !s.Holds(first) {
		t.Error("the same key is another one after a fetch")
	}
}

// FuzzKeysOfASource: whatever a source answers, its keys are none or usable, and it
// never makes the gateway fall over (CVE-2024-45809).
func FuzzKeysOfASource(f *testing.F) {
	for _, text := range []string{
		set(), set(jwk("one")), set(jwk("one"), `{"kty":"RSA","n":"AQAB","e":"AQAB"}`), `{"keys":null}`, `{"keys":[{}]}`, `[]`, ``,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := remote.New(remote.Config{Issuer: "x", JWKS: text + " ", Algorithms: []string{"RS256", "ES256", "EdDSA"}}, remote.Parts{})
		if err != nil {
			return
		}
		defer s.Close()
		found := 0
		for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
			if _, err := s.Signer(t.Context(), algorithm, "", func(k *keys.Key) bool {
				found++
				if k.Algorithm() != algorithm || k.Symmetric() || k.CanSign() || k.Verify("input", make([]byte, 64)) == nil {
					t.Errorf("%s: a key that must not be", algorithm)
				}
				return false
			}); err != nil {
				t.Error(err)
			}
		}
		if found == 0 {
			t.Error("it was taken without a key")
		}
	})
}

// A change that has nothing to do with an issuer does not lose its keys while it is away.
func TestKeysGoOnToCountForTheSourceAfter(t *testing.T) {
	var away atomic.Bool
	server := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = fmt.Fprint(w, set(jwk("a")))
	})
	before := open(t, server.URL, nil)
	key, err := before.Signer(t.Context(), "EdDSA", "a", yes)
	if err != nil || key == nil {
		t.Fatal(key, err)
	}
	away.Store(true)
	after := open(t, server.URL, nil)
	after.Follow(before)
	if got, err := after.Signer(t.Context(), "EdDSA", "a", yes); got != key || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	other := open(t, server.URL, func(cfg *remote.Config) { cfg.Algorithms = []string{"EdDSA", "RS256"} })
	other.Follow(before)
	if got, err := other.Signer(t.Context(), "EdDSA", "a", yes); got != nil || !errors.Is(err, remote.ErrUnavailable) {
		t.Errorf("with other settings: %v, %v", got, err)
	}
}
