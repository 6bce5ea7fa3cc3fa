package users

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// What the store answers beside a value. Compare with errors.Is.
var (
	ErrNotFound    = errors.New("no such user")
	ErrExists      = errors.New("a user of that name exists already")
	ErrCredentials = errors.New("no active account found with the given credentials")
)

// User is one account, with the columns of Django's auth_user and its groups. It
// is a snapshot: nothing in it changes, and Groups and Attributes may be shared with
// others, so it must not be written to.
type User struct {
	ID          int64     `json:"id"`
	Username    string    `json:"username"`
	Password    string    `json:"-"` // encoded in one of Django's forms; never logged
	FirstName   string    `json:"first_name"`
	LastName    string    `json:"last_name"`
	Email       string    `json:"email"`
	IsActive    bool      `json:"is_active"`
	IsStaff     bool      `json:"is_staff"`
	IsSuperuser bool      `json:"is_superuser"`
	DateJoined  time.Time `json:"date_joined"`
	LastLogin   time.Time `json:"last_login,omitzero"` // zero: never
	Groups      []string  `json:"groups"`              // sorted; empty, not nil

	// Attributes are texts by name that a site wants to know of its users beside the
	// columns of Django, for claims of tokens. Empty, not nil. Who is read from a Django
	// site has none.
	Attributes map[string]string `json:"attributes"`

	// SessionsEnded is when all sessions of the user were last ended; zero: never.
	SessionsEnded time.Time `json:"-"`
}

// String returns name and number, without the hash.
func (u User) String() string { return fmt.Sprintf("%s (%d)", u.Username, u.ID) }

// GoString is [User.String]: no verb of fmt prints the hash.
func (u User) GoString() string { return u.String() }

// LogValue returns name and number, without the hash.
func (u User) LogValue() slog.Value {
	return slog.GroupValue(slog.Int64("id", u.ID), slog.String("name", u.Username))
}

// NewUser is an account to be made. Only Username must be given.
type NewUser struct {
	Username  string // stored in NFKC
	Password  string // plain; "" makes an account that cannot log in
	Encoded   string // a hash made elsewhere, kept as it is, instead of Password
	Email     string
	FirstName string
	LastName  string
	Groups    []string
	Staff     bool
	Superuser bool
	Inactive  bool

	Attributes map[string]string // at most 50; see [IsAttributeName]; values of 1000 characters
}

// Change is what shall be different about an account; nil and empty fields leave
// things as they are. Groups are set first, then added, then removed; so are attributes.
type Change struct {
	Username     *string // stored in NFKC
	Email        *string
	FirstName    *string
	LastName     *string
	SetGroups    *[]string
	AddGroups    []string
	RemoveGroups []string
	Active       *bool
	KeepSessions bool // of whom is disabled
	Staff        *bool
	Superuser    *bool

	SetAttributes    map[string]string // these alone; others stay
	RemoveAttributes []string          // none need be there
}
