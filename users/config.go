package users

// Config is the `store` section: where users, hashes and revoked tokens live.
// Changing it needs a restart.
type Config struct {
	// Driver is "sqlite" (the default).
	Driver string `mapstructure:"driver"`
	// DSN is the path of the SQLite file; its directory must exist and be
	// writable. The file is created with mode 0600.
	DSN string `mapstructure:"dsn"`
	// DSNFile names a file that holds the DSN instead; the loader reads it.
	DSNFile string `mapstructure:"dsn_file"`
}
