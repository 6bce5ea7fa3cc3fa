package tokens

import (
	"context"
	"errors"

	"gatehouse/users"
)

// Still asks whether what was opened with a good token may stay open: whether its
// user is there and active, and its session has not ended. It does not look at the
// token's end. It returns the principal with the user as they are now; errors are
// those of Verify.
func (v *Verifier) Still(ctx context.Context, p *Principal) (*Principal, error) {
	if v.store == nil || p.User.ID == 0 {
		return p, nil // nobody remembers them
	}
	user, err := v.store.SharedUser(ctx, p.User.ID)
	switch {
	case errors.Is(err, users.ErrNotFound):
		return nil, v.reject("user_not_found", "User not found", "user_not_found")
	case err != nil:
		return nil, err
	}
	if err := v.checkUser(ctx, p.Claims, users.FamilyOf(v.idOf(p.Claims)), &user.User); err != nil {
		return nil, err
	}
	if v.ownStore && !v.isAccess(p.Claims) {
		if err := v.checkRevokedID(ctx, p.Claims, v.idOf(p.Claims)); err != nil {
			return nil, err
		}
	}
	now := *p
	now.User, now.Derived = user.User, &user.Derived
	return &now, nil
}

// Watch calls changed, until stop is called, for every change after which Still may
// give another answer about the principals that it concerns. What holds for the
// callback of users.Store.Watch holds for this one.
func (v *Verifier) Watch(changed func(concerns func(*Principal) bool)) (stop func()) {
	if v.store == nil {
		return func() {}
	}
	return v.store.Watch(func(c users.Notice) {
		changed(func(p *Principal) bool {
			return c.All || c.UserID != 0 && c.UserID == p.User.ID || c.Family != 0 && c.Family == users.FamilyOf(p.TokenID)
		})
	})
}
