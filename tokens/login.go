package tokens

import (
	"errors"
	"fmt"
	"strings"

	"gatehouse/users"
)

// Login is the part of the `login` section that says who logs in, and what is noted
// of it.
type Login struct {
	// UsernameField is the name of the field in which a login sends who it is; default
	// username. A site whose user model has USERNAME_FIELD = "email" has email here. It
	// is also the name in the answers about it, and its label.
	UsernameField string `mapstructure:"username_field"`
	// FindBy is what that field is held against: "username" (default) or "email". An
	// address that several users have logs nobody in.
	FindBy string `mapstructure:"find_by"`
	// UpdateLastLogin notes the moment of each login with its user; default false, as
	// SimpleJWT's UPDATE_LAST_LOGIN. A refresh is no login.
	UpdateLastLogin bool `mapstructure:"update_last_login"`
	// Throttle is how often logins may fail, and tokens be refreshed and verified.
	Throttle Throttle `mapstructure:"throttle"`
}

// DefaultLogin returns SimpleJWT's defaults.
func DefaultLogin() Login {
	return Login{UsernameField: "username", FindBy: string(users.ByName), Throttle: DefaultThrottle()}
}

// Check returns all faults, joined; each has its key inside the section `login`.
func (l Login) Check() error {
	var faults []error
	if !isFieldName(l.UsernameField) || l.UsernameField == "password" {
		faults = append(faults, &Fault{"username_field", fmt.Sprintf("%q cannot be the name of the field", l.UsernameField), "write a word of letters, digits and _, such as username or email"})
	}
	if l.FindBy != string(users.ByName) && l.FindBy != string(users.ByEmail) {
		faults = append(faults, &Fault{"find_by", fmt.Sprintf("users cannot log in by %q", l.FindBy), "write username or email"})
	}
	faults = append(faults, l.Throttle.check())
	return errors.Join(faults...)
}

// isFieldName accepts what can name a field of a model: an identifier of Python.
func isFieldName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return name != "" && len(name) <= 64 && strings.Contains(letters, name[:1]) && strings.Trim(name, letters+"0123456789") == ""
}

// label is how the framework shows the name of a field: phone_number as Phone number.
func label(name string) string {
	name = strings.ToLower(strings.ReplaceAll(name, "_", " "))
	return strings.ToUpper(name[:1]) + name[1:]
}
