package users

import (
	"errors"
	"time"
)

// What the store answers beside a value. Compare with errors.Is.
var (
	ErrNotFound    = errors.New("no such user")
	ErrExists      = errors.New("a user of that name exists already")
	ErrCredentials = errors.New("no active account found with the given credentials")
)

// User is one account, with the columns of Django's auth_user and its groups.
type User struct {
	ID          int64
	Username    string
	Password    string // encoded in one of Django's forms; never logged
	FirstName   string
	LastName    string
	Email       string
	IsActive    bool
	IsStaff     bool
	IsSuperuser bool
	DateJoined  time.Time
	LastLogin   time.Time // zero: never
	Groups      []string  // sorted
}
