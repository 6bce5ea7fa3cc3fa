package keys

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestWhatIsPublished(t *testing.T) {
	p := newPairs(t)
	set, err := New([]Config{
		{ID: "hmac", Algorithm: "HS256", Secret: long, Use: "verify"},
		{ID: "rsa", Algorithm: "RS256", PrivateKey: pkcs8(t, p.rsa)},
		{ID: "ec", Algorithm: "ES256", PrivateKey: sec1(t, p.p256), Use: "verify", Until: "2026-12-31"},
		{ID: "rfc", Algorithm: "EdDSA", PublicKey: rfcEd25519Public},
	})
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		now  time.Time
		want []string
	}{
		{"all with a public half", end.Add(-time.Second), []string{"rsa", "ec", "rfc"}},
		{"not the one that has ended", end, []string{"rsa", "rfc"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var published struct{ Keys []map[string]any }
			if err := json.Unmarshal(set.JWKS(c.now), &published); err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, key := range published.Keys {
				ids = append(ids, key["kid"].(string))
				for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
					if _, there := key[secret]; there {
						t.Errorf("%s of %v is published", secret, key["kid"])
					}
				}
				if key["use"] != "sig" || key["alg"] == "" {
					t.Errorf("use %v, alg %v", key["use"], key["alg"])
				}
			}
			if strings.Join(ids, " ") != strings.Join(c.want, " ") {
				t.Errorf("got %v, want %v", ids, c.want)
			}
		})
	}
	const want = `{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA","kid":"rfc"}]}`
	if got := string(set.JWKS(end)); !strings.HasSuffix(got, want) {
		t.Errorf("got %s\nwant it to end with %s", got, want)
	}
	if !set.Public() {
		t.Error("there is something to publish")
	}
	secrets, err := New([]Config{{ID: "hmac", Algorithm: "HS256", Secret: long}})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(secrets.JWKS(end)); secrets.Public() || got != `{"keys":[]}` {
		t.Errorf("of HMAC keys: %s", got)
	}
}
