package password

// Config is the `login.hashing` section.
type Config struct {
	// Preferred is how new passwords are encoded: argon2id (default),
	// pbkdf2_sha256, scrypt or bcrypt_sha256. Others are rewritten at login.
	Preferred string `mapstructure:"preferred"`
	// MaxParallel is how many hashes are computed at once: a number, or "auto"
	// (default): from cores and memory.
	MaxParallel string `mapstructure:"max_parallel"`
}
