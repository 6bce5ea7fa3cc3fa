package users_test

import (
	"errors"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// Who revokes a token is told whether it was still worth something: it may have been
// exchanged since it was looked at, by another process.
func TestOnlyALiveTokenIsRevokedOnce(t *testing.T) {
	userstest.Each(t, func(t *testing.T, place *userstest.Place) {
		s := userstest.Open(t, userstest.In(place))
		other := userstest.Open(t, userstest.In(place))
		now := time.Now()
		soon := now.Add(time.Hour)
		token := func() users.Token {
			return users.Token{ID: users.NewFamily().NewTokenID(), IssuedAt: now, Expires: soon}
		}
		exchange := func(old users.Token) error {
			next := users.Token{ID: users.FamilyOf(old.ID).NewTokenID(), IssuedAt: now, Expires: soon}
			_, err := other.RenewSession(t.Context(), users.Renewal{Old: old, Next: &next, AccessID: "of " + next.ID, AccessUntil: soon, RevokeOld: true})
			return err
		}
		for _, c := range []struct {
			name   string
			before func(users.Token) error
			want   error
		}{
			{"never heard of", func(users.Token) error { return nil }, nil},
			{"recorded", func(x users.Token) error { return other.RecordToken(t.Context(), x) }, nil},
			{"revoked", func(x users.Token) error { return other.RevokeToken(t.Context(), x) }, users.ErrRevoked},
			{"exchanged", exchange, users.ErrRevoked},
		} {
			x := token()
			if err := c.before(x); err != nil {
				t.Fatal(c.name, err)
			}
			if err := s.RevokeLiveToken(t.Context(), x); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
			if revoked, err := other.Revoked(t.Context(), x.ID); !revoked || err != nil {
				t.Errorf("%s: revoked is %t, %v", c.name, revoked, err)
			}
		}
	})
}
