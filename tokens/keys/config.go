package keys

// Config is one entry of `tokens.keys`.
//
// An HMAC key has a secret; every other one has a private_key, or, where it only
// verifies, a public_key. Both are written as PEM or as JWK (RFC 7517):
//
//   - private_key: PEM of type PRIVATE KEY (PKCS #8), RSA PRIVATE KEY (PKCS #1) or
//     EC PRIVATE KEY (SEC 1), not encrypted; or a JWK with d (RSA with p and q too).
//   - public_key: PEM of type PUBLIC KEY (PKIX), RSA PUBLIC KEY (PKCS #1) or
//     CERTIFICATE, of which only the key counts and neither dates nor issuer; or a
//     JWK without private members.
//
// Each holds one key and no more. A PEM needs its line ends; where they are lost, as
// in many environments, a JWK in one line does not.
type Config struct {
	// ID is the key ID (kid, RFC 7515 section 4.1.4), unique in the list. It names
	// the key to people, and in the tokens and the JWKS of all but HMAC keys: HMAC
	// tokens do not carry it, as SimpleJWT's do not. Default: the kid of a JWK, else
	// the thumbprint of the key (RFC 7638); a secret that is no JWK needs one.
	ID string `mapstructure:"kid"`
	// Algorithm is the JWS algorithm (RFC 7518 section 3.1, RFC 8037) that the key is
	// for: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256,
	// ES384, ES512 or EdDSA (Ed25519). It belongs to the key and is never taken from
	// a token. RSA keys have at least 2048 bits; ES256, ES384 and ES512 take keys on
	// P-256, P-384 and P-521.
	Algorithm string `mapstructure:"alg"`
	// Secret is the HMAC secret: its bytes as written, or after "base64:" the
	// standard base64 of them, or a JWK of type oct. It is at least as long as the
	// hash (32, 48, 64 bytes for HS256, HS384, HS512; RFC 7518 section 3.2). Danger:
	// who knows it can make any token.
	Secret string `mapstructure:"secret"`
	// SecretFile names a file that holds the secret instead; one newline at its end
	// does not count.
	SecretFile string `mapstructure:"secret_file"`
	// PrivateKey is the private key of every algorithm but HMAC, as PEM or JWK.
	// Danger: who knows it can make any token.
	PrivateKey string `mapstructure:"private_key"`
	// PrivateKeyFile names a file that holds the private key instead.
	PrivateKeyFile string `mapstructure:"private_key_file"`
	// PublicKey is the public key of one that only verifies, as PEM or JWK. Beside a
	// private key it is not wanted.
	PublicKey string `mapstructure:"public_key"`
	// PublicKeyFile names a file that holds the public key instead.
	PublicKeyFile string `mapstructure:"public_key_file"`
	// Use is "sign" (sign and verify) or "verify". Not said, the first key that can
	// sign does, and the others verify; at most one key signs. Where none does,
	// gatehouse issues no tokens and only checks those that others made.
	Use string `mapstructure:"use"`
	// Until is when the key stops to verify: a day (2026-12-31, through its end in
	// UTC) or a moment (RFC 3339). Empty is never.
	Until string `mapstructure:"until"`
}
