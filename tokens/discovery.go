package tokens

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// discovery answers a verifier that knows the URL of an issuer and wants its keys
// (OpenID Connect Discovery 1.0, section 4): who we are, where the JWKS is, with what
// we sign. There is no login by OpenID Connect here, and nothing in it says so.
type discovery struct {
	ring   *ring
	issuer string
	jwks   string
	now    func() time.Time
}

// pathDiscovery is behind the path of the issuer, where it has one.
const pathDiscovery = "/.well-known/openid-configuration"

// newDiscovery returns the document and its path; nil for an issuer that is no URL.
func newDiscovery(cfg Config, ring *ring, now func() time.Time) (path string, d *discovery) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "" {
		return "", nil
	}
	base := strings.TrimSuffix(u.Path, "/")
	if base != "" && !isBasePath(base) {
		return "", nil
	}
	return base + pathDiscovery, &discovery{ring, cfg.Issuer, u.Scheme + "://" + u.Host + pathJWKS, now}
}

// ServeHTTP answers as the JWKS does.
func (d *discovery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all, _ := d.ring.set.Load().All()
	var algorithms []string
	for _, key := range all {
		if !key.Symmetric() && key.Valid(d.now()) && !slices.Contains(algorithms, key.Algorithm()) {
			algorithms = append(algorithms, key.Algorithm())
		}
	}
	slices.Sort(algorithms)
	body, _ := json.Marshal(struct { // strings always encode
		Issuer     string   `json:"issuer"`
		JWKS       string   `json:"jwks_uri"`
		Responses  []string `json:"response_types_supported"` // section 3 wants these two
		Subjects   []string `json:"subject_types_supported"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}{d.issuer, d.jwks, []string{"none"}, []string{"public"}, algorithms})
	servePublic(w, r, "application/json", body)
}
