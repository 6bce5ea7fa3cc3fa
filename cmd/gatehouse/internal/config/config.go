package config

import (
	"strings"

	"gatehouse/cmd/gatehouse/internal/audit"
	"gatehouse/cmd/gatehouse/internal/tracing"
	"gatehouse/proxy"
	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/password"
)

// File is the whole configuration: the Config types of the rooms side by side.
type File struct {
	proxy.Config `mapstructure:",squash"`

	// Store is where users and revoked tokens are kept. Changing it needs a restart.
	Store users.Config `mapstructure:"store"`
	// Login is how passwords are checked.
	Login Login `mapstructure:"login"`
	// Tokens is what tokens are signed with and say.
	Tokens tokens.Config `mapstructure:"tokens"`

	// Audit is where it is written who did what to users, sessions and keys.
	Audit audit.Config `mapstructure:"audit"`

	// Tracing is where spans are sent to, by OpenTelemetry's protocol.
	Tracing tracing.Config `mapstructure:"tracing"`

	// Bootstrap is the first user of an empty store.
	Bootstrap Bootstrap `mapstructure:"bootstrap"`

	// Tests are requests and what must become of them, tried by `gatehouse check`. A
	// running gateway does not look at them.
	Tests []Test `mapstructure:"tests"`
}

// Bootstrap is the `bootstrap` section: the first user, made when the gateway starts
// on a store without any. Where a user exists, it does nothing.
type Bootstrap struct {
	// User is the name to log in with, and if it is an e-mail address, that of the user
	// as well. Empty, the default: nobody is made.
	User string `mapstructure:"user"`

	// Password is the password; `gatehouse user passwd` changes it.
	Password string `mapstructure:"password"`

	// PasswordFile names a file that holds the password instead; the loader reads it.
	PasswordFile string `mapstructure:"password_file"`
}

// Email is the address of the first user, or "".
func (b Bootstrap) Email() string {
	if strings.Contains(b.User, "@") {
		return b.User
	}
	return ""
}

// Login is the `login` section.
type Login struct {
	tokens.Login `mapstructure:",squash"`

	// Hashing is how passwords are encoded.
	Hashing password.Config `mapstructure:"hashing"`
}

// Defaults returns what holds where nothing is said.
func Defaults() File {
	return File{
		Config:  proxy.DefaultConfig(),
		Store:   users.DefaultConfig(),
		Login:   Login{Login: tokens.DefaultLogin(), Hashing: password.DefaultConfig()},
		Tokens:  tokens.DefaultConfig(),
		Audit:   audit.DefaultConfig(),
		Tracing: tracing.DefaultConfig(),
	}
}
