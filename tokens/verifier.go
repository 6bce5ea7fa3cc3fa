package tokens

import (
	"context"
	"errors"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// Verifier checks tokens. It is immutable and safe for concurrent use.
type Verifier struct {
	cfg   Config
	keys  *keys.Set
	store *users.Store
	now   func() time.Time
}

// Principal is whom a good token belongs to. It must not be changed.
type Principal struct {
	UserID  string     // the number of the user, in digits
	User    users.User // as the store has them now
	Claims  drf.Object // the payload of the token
	TokenID string     // jti
	Expires time.Time  // exp; with the leeway added, no request passes behind it
}

// Verify takes a bearer token as a protected view of SimpleJWT does. The error is a
// *Rejection if the token is refused, and any other if that could not be decided.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	claims, fault := v.read(token)
	if fault == "" {
		fault = checkToken(claims, typeAccess)
	}
	if fault != "" {
		return nil, v.rejectToken(fault)
	}
	id, there := claims.Get(claimUser)
	if !there {
		return nil, v.reject("no_user_claim", "Token contained no recognizable user identification", codeInvalid)
	}
	number, ok := userNumber(id)
	if !ok {
		return nil, v.reject("user_not_found", "User not found", "user_not_found")
	}
	user, err := v.store.LiveUser(ctx, number)
	switch {
	case errors.Is(err, users.ErrNotFound):
		return nil, v.reject("user_not_found", "User not found", "user_not_found")
	case err != nil:
		return nil, err
	case !user.IsActive:
		return nil, v.reject("user_inactive", "User is inactive", "user_inactive")
	}
	// Behind the user: of one who is gone or disabled, that is said.
	switch gone, err := v.store.SessionEnded(ctx, users.FamilyOf(text(claims, "jti"))); {
	case err != nil:
		return nil, err
	case gone || isBefore(claims, user):
		return nil, v.rejectToken(textBlacklisted)
	}
	return &Principal{
		UserID: decimal(user.ID), User: user, Claims: claims,
		TokenID: text(claims, "jti"), Expires: expiry(claims),
	}, nil
}

// isBefore tells whether a token was made in a second before the one in which all
// sessions of its user were ended. It is for tokens that others made: ours are known
// by their session. A token that does not say when it was made is of before.
func isBefore(claims drf.Object, user users.User) bool {
	if user.SessionsEnded.IsZero() {
		return false
	}
	value, _ := claims.Get("iat")
	made, _ := numericDate(value, false)
	return int64(made) < user.SessionsEnded.Unix()
}

// read returns the claims of a token that is signed by one of our keys, is of now,
// and is from and for whom we are told; else the text of what is wrong. It says
// nothing on what the token may be used for.
func (v *Verifier) read(token string) (drf.Object, string) {
	p, ok := split(token)
	if !ok {
		return nil, textInvalid
	}
	now := v.now()
	if !v.signed(p, now) {
		return nil, textInvalid
	}
	claims, ok := claimsOf(p.payload)
	if !ok {
		return nil, textInvalid
	}
	if fault := v.checkRegistered(claims, now); fault != "" {
		return nil, fault
	}
	return claims, ""
}

func (v *Verifier) signed(p parts, now time.Time) bool {
	for key := range v.keys.Candidates(p.algorithm, now) {
		if key.Verify(p.signed, p.signature) == nil {
			return true
		}
	}
	return false
}

// readRefresh is read for a refresh token, which must not be revoked and must be
// one. The claims are there also if it was revoked. The error tells that it could not be decided.
func (v *Verifier) readRefresh(ctx context.Context, token string) (drf.Object, string, error) {
	claims, fault := v.read(token)
	if fault != "" {
		return nil, fault, nil
	}
	if id, there := claims.Get("jti"); there {
		revoked, err := v.store.Revoked(ctx, id.(string)) // read refuses an id that is no string
		if err != nil {
			return nil, "", err
		}
		if revoked {
			return claims, textBlacklisted, nil
		}
	}
	return claims, checkToken(claims, typeRefresh), nil
}
