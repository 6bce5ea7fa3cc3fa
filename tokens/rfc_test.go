package tokens_test

import (
	"errors"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
)

// TestTheExamplesOfTheRFCs: those of RFC 7515 and 8037 are in tokens/keys. What RFC
// 8725 advises is a table of attacks each (docs/security.md): sections 3.1 and 3.2 the
// algorithm, 3.3 and 3.8 issuer and subject, 3.9 the audience, 3.10 what tokens bring
// along, 3.11 and 3.12 their types.
func TestTheExamplesOfTheRFCs(t *testing.T) {
	// RFC 7519, section 3.1, with the key of RFC 7515, appendix A.1.
	const token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" +
		".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" +
		".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	const key = `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`
	// RFC 7519, section 6.1: not secured at all.
	const unsecured = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
	for _, c := range []struct {
		name, token, issuer string
		at                  int64
		want                string
	}{
		// No example has an id, which is said behind all else.
		{"in time", token, "joe", 1300819379, "Token has no id"},
		{"at its end", token, "joe", 1300819380, "Token is expired"},
		{"of another issuer", token, "jo", 1300819379, "Token is invalid"},
		{"not secured", unsecured, "joe", 1300819379, "Token is invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := tokens.DefaultConfig()
			cfg.Keys, cfg.Issuer = []keys.Config{{ID: "a", Algorithm: "HS256", Secret: key, Use: "verify"}}, c.issuer
			a, err := tokens.New(cfg, tokens.Parts{Now: func() time.Time { return time.Unix(c.at, 0) }})
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.Verifier().Verify(t.Context(), c.token)
			var rejected *tokens.Rejection
			if !errors.As(err, &rejected) || rejected.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
