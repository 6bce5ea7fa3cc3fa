package keys

// Config is one entry of `tokens.keys`.
type Config struct {
	// ID is the key ID (kid, RFC 7515 section 4.1.4), unique in the list. It names
	// the key to people; HMAC tokens do not carry it, as SimpleJWT's do not.
	ID string `mapstructure:"kid"`
	// Algorithm is the JWS algorithm (RFC 7518 section 3.1) that the key is for:
	// HS256, HS384 or HS512. It belongs to the key and is never taken from a token.
	Algorithm string `mapstructure:"alg"`
	// Secret is the HMAC secret: its bytes as written, or after "base64:" the
	// standard base64 of them. It is at least as long as the hash (32, 48, 64 bytes
	// for HS256, HS384, HS512; RFC 7518 section 3.2). Danger: who knows it can make
	// any token.
	Secret string `mapstructure:"secret"`
	// SecretFile names a file that holds the secret instead; one newline at its end
	// does not count.
	SecretFile string `mapstructure:"secret_file"`
	// Use is "sign" (sign and verify) or "verify". Not said, the first key signs and
	// the others verify; exactly one key signs.
	Use string `mapstructure:"use"`
	// Until is when the key stops to verify: a day (2026-12-31, through its end in
	// UTC) or a moment (RFC 3339). Empty is never.
	Until string `mapstructure:"until"`
}
