package tokens

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"gatehouse/tokens/drf"
)

// pathJWKS is where verifiers look for public keys. It is a path of its own: what
// else is below /.well-known/ (ACME challenges, security.txt) is the upstreams'.
const pathJWKS = "/.well-known/jwks.json"

// jwksAge is for how long others may keep the JWKS: as long as an access token lives
// by default, and short enough that a new key is known within minutes.
const jwksAge = "public, max-age=300"

// jwks answers with the public keys of the moment (RFC 7517, section 5).
type jwks struct {
	ring *ring
	now  func() time.Time
}

// ServeHTTP shows the keys to everybody: nothing in them is secret.
func (j *jwks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	servePublic(w, r, "application/jwk-set+json", j.ring.set.Load().JWKS(j.now()))
}

// servePublic answers GET and HEAD, and with 304 to who has it already (RFC 9110,
// section 13.1.2).
func servePublic(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		answer := drf.Detail(http.StatusMethodNotAllowed, "Method \""+r.Method+"\" not allowed.")
		answer.Header = http.Header{"Allow": {"GET, HEAD"}}
		answer.Write(w, r)
		return
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", jwksAge)
	h.Set("Etag", `"`+base64.RawURLEncoding.EncodeToString(sum[:16])+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
