package keys

// Config is one entry of `tokens.keys`.
type Config struct {
	// ID is the key ID (kid, RFC 7515 section 4.1.4); unique in the list.
	ID string `mapstructure:"kid"`
	// Algorithm is the JWS algorithm (RFC 7518 section 3.1) this key is for; it
	// belongs to the key and is never taken from a token.
	Algorithm string `mapstructure:"alg"`
	// Secret is the HMAC secret: its bytes as written, or after "base64:" the
	// standard base64 of them. At least as long as the hash (32 bytes for HS256).
	Secret     string `mapstructure:"secret"`
	SecretFile string `mapstructure:"secret_file"`
	// Use is "sign" (sign and verify, the default for the first key) or "verify".
	Use string `mapstructure:"use"`
	// Until is the last day (2026-12-31, UTC) or moment (RFC 3339) at which
	// the key still verifies; empty is without end.
	Until string `mapstructure:"until"`
}
