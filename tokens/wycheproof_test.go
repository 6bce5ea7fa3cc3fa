package tokens

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens/keys"
)

// TestWycheproof holds the public vectors of C2SP/wycheproof (testvectors_v1) for JWS
// and JWK against what a bearer token goes through here: taken apart, a key chosen, its
// signature checked. They are not kept here; GATEHOUSE_TEST_WYCHEPROOF names the
// directory of a copy:
//
//	git clone --depth 1 https://github.com/C2SP/wycheproof
//	GATEHOUSE_TEST_WYCHEPROOF=$PWD/wycheproof/testvectors_v1 go test ./tokens -run Wycheproof -v
//
// What they call invalid must be refused, and what they call valid taken. Where it is
// not so, the vector is among exceptions with the reason, and each of those must be one.
func TestWycheproof(t *testing.T) {
	dir := os.Getenv("GATEHOUSE_TEST_WYCHEPROOF")
	if dir == "" {
		t.Skip("GATEHOUSE_TEST_WYCHEPROOF names no directory with the vectors")
	}
	for _, file := range []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"} {
		t.Run(file, func(t *testing.T) { holdAgainst(t, filepath.Join(dir, file)) })
	}
}

// exceptions are vectors, by what their group and their comment say.
var exceptions = map[string]string{
	"rfc7520/Figure20":                         "the key says PS256 and the token PS384: the algorithm belongs to the key (RFC 8725, section 3.1)",
	"rfc7520/Figure27":                         "the key says ES521, which is no algorithm",
	"rfc7520WithKeyOps/Figure20":               "as rfc7520/Figure20",
	"rfc7520WithKeyOps/Figure27":               "as rfc7520/Figure27",
	"base64/InvalidCharacterInsertedInHeader":  "called valid, with a character that base64url does not have: one token has one spelling here",
	"base64/InvalidCharacterInsertedInPayload": "as the one before",
	"base64/invalidBase64Padding":              "called invalid, and to the byte the valid token of its group: the padding is not in the vector",
	"base64/invalidBase64PaddingInPayload":     "as the one before",
	"jws_mixedSymmetryKeyset/rejectsValid":     "called invalid because the set has a secret and a public key, each of which serves its own algorithm alone here",
	"jwe_aes/acceptsValid":                     "JWE is not supported",
	"jwe_ec/acceptsValid":                      "JWE is not supported",
}

type vectors struct {
	Groups []struct {
		Comment string          `json:"comment"`
		Private json.RawMessage `json:"private"`
		Public  json.RawMessage `json:"public"`
		Tests   []struct {
			ID      int      `json:"tcId"`
			Comment string   `json:"comment"`
			JWS     any      `json:"jws"`
			JWE     any      `json:"jwe"`
			Result  string   `json:"result"`
			Flags   []string `json:"flags"`
		} `json:"tests"`
	} `json:"testGroups"`
}

func holdAgainst(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, g := range all.Groups {
		set, unusable := vectorKeys(g.Private, g.Public)
		for _, c := range g.Tests {
			jws, isText := c.JWS.(string)
			if c.JWE != nil {
				jws, isText = fmt.Sprint(c.JWE), true
			}
			accepted := false
			if p, ok := split(jws); ok && isText && set != nil {
				for key := range set.Candidates(p.algorithm, p.keyID, time.Now()) {
					accepted = accepted || key.Verify(p.signed, p.signature) == nil
				}
			}
			about := fmt.Sprintf("%s/%s", g.Comment, c.Comment)
			count[fmt.Sprintf("%s, accepted: %v", c.Result, accepted)]++
			_, excepted := exceptions[about]
			switch wrong := accepted != (c.Result == "valid"); {
			case wrong && !excepted:
				t.Errorf("%d %s is %s, and accepted: %v %v %v", c.ID, about, c.Result, accepted, c.Flags, unusable)
			case !wrong && excepted:
				t.Errorf("%d %s is no exception any more", c.ID, about)
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%4d %s", count[what], what)
	}
}

// vectorKeys makes a set of the keys of a group, as an operator would write them.
func vectorKeys(private, public json.RawMessage) (*keys.Set, error) {
	raw := public
	if raw == nil {
		raw = private
	}
	var list struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(raw, &list) != nil || list.Keys == nil {
		list.Keys = []json.RawMessage{raw}
	}
	var configs []keys.Config
	for _, one := range list.Keys {
		var jwk struct{ Kty, Alg string }
		if err := json.Unmarshal(one, &jwk); err != nil {
			return nil, err
		}
		c := keys.Config{Algorithm: jwk.Alg}
		if jwk.Kty == "oct" {
			c.Secret = string(one)
		} else {
			c.PublicKey = string(one)
		}
		configs = append(configs, c)
	}
	set, err := keys.New(configs)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return set, nil
}
