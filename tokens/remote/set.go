package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"

	"gatehouse/tokens/keys"
)

// maxKeys is how many keys a set may have: an issuer that rotates has three.
const maxKeys = 100

// readSet makes keys of a JWK Set. One that is not for us is passed over, because
// sets have keys for other purposes and of kinds to come; skipped says why. The error
// is about the set as a whole.
func readSet(text []byte, algorithms []string) (found []*keys.Key, skipped []string, err error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, nil, errors.New("it is no JWK Set: a JSON object with a list keys")
	}
	if len(*set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("it has %d keys, more than %d", len(*set.Keys), maxKeys)
	}
	for i, raw := range *set.Keys {
		keys, why := readKey(raw, algorithms)
		if why != "" {
			skipped = append(skipped, fmt.Sprintf("keys[%d]: %s", i, why))
		}
		found = append(found, keys...)
	}
	return found, skipped, nil
}

// readKey makes a key of a JWK for each of the algorithms that it may be for, or says
// why there is none.
func readKey(raw json.RawMessage, algorithms []string) (found []*keys.Key, why string) {
	var m jwkset.JWKMarshal
	if json.Unmarshal(raw, &m) != nil {
		return nil, "it is no JWK"
	}
	switch {
	case m.KTY == jwkset.KtyOct:
		return nil, "it is a secret, which nobody publishes"
	case m.D != "":
		return nil, "it is a private key, so that who reads the set can make any token"
	case m.USE != "" && m.USE != jwkset.UseSig:
		return nil, "it is not for signatures (use)"
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return nil, "it is not for signatures (key_ops)"
	case m.ALG != "" && !slices.Contains(algorithms, m.ALG.String()):
		return nil, fmt.Sprintf("it is for %.20q, which is none of algs", m.ALG)
	}
	// A certificate beside the key says nothing that counts here, and is not looked at.
	m.X5C, m.X5T, m.X5TS256, m.X5U = nil, "", "", ""
	key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil, "it cannot be read as a key"
	}
	for _, algorithm := range algorithms {
		if m.ALG != "" && m.ALG.String() != algorithm {
			continue
		}
		one, err := keys.NewPublic(algorithm, m.KID, key.Key())
		if err == nil {
			found = append(found, one)
		} else {
			why = err.Error()
		}
	}
	if len(found) > 0 {
		return found, ""
	}
	return nil, why
}
