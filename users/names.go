package users

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gatehouse/users/password"
)

// The widths of Django's columns, in characters.
const (
	maxName  = 150
	maxEmail = 254
	maxHash  = 512 // Django has 128; more than any form that is verified
)

// check returns the account without its password, number and date, or all faults.
func (n NewUser) check() (User, error) {
	username := norm.NFKC.String(n.Username)
	faults := []error{
		checkUsername(username),
		checkText("email", n.Email, maxEmail),
		checkText("first_name", n.FirstName, maxName),
		checkText("last_name", n.LastName, maxName),
		checkGroups(n.Groups),
		checkAttributes(n.Attributes),
	}
	if n.Password != "" {
		faults = append(faults, checkPassword(n.Password))
	}
	switch {
	case n.Encoded == "":
	case n.Password != "":
		faults = append(faults, &Fault{At: "password", Problem: "a password and a hash are given", Fix: "give one of them"})
	case len(n.Encoded) > maxHash:
		faults = append(faults, &Fault{At: "password", Problem: fmt.Sprintf("the hash is longer than %d bytes", maxHash), Fix: "give one of Django's forms"})
	case strings.HasPrefix(n.Encoded, "!"), password.Usable(n.Encoded):
	default:
		// Not shown: what looks malformed may be a password in clear.
		faults = append(faults, &Fault{At: "password", Problem: "the hash has no form that is known", Fix: "give one of Django's forms, or a new password"})
	}
	return User{
		Username: username, Email: n.Email, FirstName: n.FirstName, LastName: n.LastName, Groups: n.Groups, Attributes: n.Attributes,
		IsActive: !n.Inactive, IsStaff: n.Staff, IsSuperuser: n.Superuser,
	}, errors.Join(faults...)
}

// check returns c with its name in NFKC, or all faults.
func (c Change) check() (Change, error) {
	var faults []error
	if c.Username != nil {
		name := norm.NFKC.String(*c.Username)
		c.Username = &name
		faults = append(faults, checkUsername(name))
	}
	text := func(at string, value *string, limit int) {
		if value != nil {
			faults = append(faults, checkText(at, *value, limit))
		}
	}
	text("email", c.Email, maxEmail)
	text("first_name", c.FirstName, maxName)
	text("last_name", c.LastName, maxName)
	if c.SetGroups != nil {
		faults = append(faults, checkGroups(*c.SetGroups))
	}
	faults = append(faults, checkGroups(c.AddGroups), checkAttributes(c.SetAttributes))
	return c, errors.Join(faults...)
}

// checkUsername accepts names of any script with inner spaces. White space at an
// end is refused because the login removes it: nobody could be that user.
func checkUsername(name string) error {
	if name == "" {
		return &Fault{At: "username", Problem: "the name is empty", Fix: "give a name"}
	}
	if strings.TrimFunc(name, trimmed) != name {
		return &Fault{At: "username", Problem: fmt.Sprintf("the name %q begins or ends with white space", name), Fix: "leave it out"}
	}
	return checkText("username", name, maxName)
}

// checkGroups accepts any name that can be written in a list without doubt. A
// comma is allowed, because Django allows it: whoever joins names escapes it.
func checkGroups(names []string) error {
	var faults []error
	for _, name := range names {
		switch {
		case name == "":
			faults = append(faults, &Fault{At: "groups", Problem: "the name of a group is empty", Fix: "give a name"})
		case strings.TrimFunc(name, trimmed) != name:
			faults = append(faults, &Fault{At: "groups", Problem: fmt.Sprintf("the group %q begins or ends with white space", name), Fix: "leave it out"})
		default:
			faults = append(faults, checkText("groups", name, maxName))
		}
	}
	return errors.Join(faults...)
}

// checkText refuses what is too long or contains characters that do not show:
// controls, line ends, marks of writing direction. They are how one name is made
// to look like another.
func checkText(at, text string, limit int) error {
	if !utf8.ValidString(text) {
		return &Fault{At: at, Problem: fmt.Sprintf("%q is not UTF-8", text), Fix: "give it in UTF-8"}
	}
	if n := utf8.RuneCountInString(text); n > limit {
		return &Fault{At: at, Problem: fmt.Sprintf("%d characters are too many", n), Fix: fmt.Sprintf("give at most %d", limit)}
	}
	for _, r := range text {
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			return &Fault{At: at, Problem: fmt.Sprintf("%q contains the character %U, which does not show", text, r), Fix: "leave it out"}
		}
	}
	return nil
}

// checkPassword refuses what could be set and then never be typed at the login,
// which removes white space at both ends and refuses U+0000.
func checkPassword(plain string) error {
	switch {
	case !utf8.ValidString(plain):
		return &Fault{At: "password", Problem: "the password is not UTF-8", Fix: "give it in UTF-8"}
	case strings.ContainsRune(plain, 0):
		return &Fault{At: "password", Problem: "the password contains U+0000", Fix: "leave it out"}
	case strings.TrimFunc(plain, trimmed) != plain:
		return &Fault{At: "password", Problem: "the password begins or ends with white space, which the login removes", Fix: "leave it out"}
	}
	return nil
}

// trimmed tells whether Python's strip, which the login imitates, removes r.
func trimmed(r rune) bool { return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f) }
