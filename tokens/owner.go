package tokens

import (
	"context"
	"crypto/md5" //nolint:gosec // what SimpleJWT writes; it protects nothing
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"gatehouse/tokens/drf"
	"gatehouse/users"
)

// textPassword is what the holder of a token of before is told.
const textPassword = "The user's password has been changed." //nolint:gosec // it is told to clients

// idOf is the id by which a token is known. One of others that has none is known by
// what it says, where such are taken; else it is "".
func (v *Verifier) idOf(claims drf.Object) string {
	value, there := claims.Get(v.cfg.idClaim())
	if there || v.cfg.JTIClaim != none {
		id, _ := value.(string)
		return id
	}
	sum := sha256.Sum256(drf.AppendASCII(nil, claims))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// liveOwner is the user whom a claim names, as the store holds them for requests that
// are forwarded; users.ErrNotFound if it names nobody.
func (v *Verifier) liveOwner(ctx context.Context, o owner) (*users.Shared, error) {
	switch {
	case !o.ok:
		return nil, users.ErrNotFound
	case o.by == users.ByID:
		return v.store.SharedUser(ctx, o.number)
	}
	user, err := v.store.LiveUserBy(ctx, o.by, o.name)
	return &users.Shared{User: user}, err
}

// owner asks the store itself, not what was held of it: a refresh is rare, and must
// not outlive its user.
func (v *Verifier) owner(ctx context.Context, id any) (users.User, error) {
	o := v.readOwner(id)
	switch {
	case !o.ok:
		return users.User{}, users.ErrNotFound
	case o.by == users.ByID:
		return v.store.UserByID(ctx, o.number)
	}
	return v.store.UserBy(ctx, o.by, o.name)
}

// owner is whom a claim names: by a number, or by a name.
type owner struct {
	by     users.Column
	number int64
	name   string
	ok     bool // it can be either
}

// readOwner reads the claim as tokens.user_id_field says: a number for the id, else a
// name.
func (v *Verifier) readOwner(id any) (o owner) {
	if o.by = users.Column(v.cfg.UserIDField); o.by == users.ByID {
		o.number, o.ok = userNumber(id)
	} else {
		o.name, o.ok = nameText(id)
	}
	return o
}

// nameText reads a name or an address; a number is its digits, as Python makes them.
func nameText(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case drf.Number:
		return value.Text(), true
	}
	return "", false
}

// nameIn is what tokens say of a user. It is nil for a user of whom they would say
// nothing: who has no address.
func (c SimpleJWT) nameIn(user users.User) any {
	switch {
	case c.UserIDField == string(users.ByName):
		return user.Username
	case c.UserIDField == string(users.ByEmail) && user.Email == "":
		return nil
	case c.UserIDField == string(users.ByEmail):
		return user.Email
	case c.Legacy.IntegerUserID:
		return user.ID
	}
	return decimal(user.ID)
}

// samePassword tells whether a token was made for the password that the user has.
func (c SimpleJWT) samePassword(claims drf.Object, user users.User) bool {
	if !c.CheckPasswordChange {
		return true
	}
	value, _ := claims.Get(c.PasswordClaim)
	return value == passwordDigest(user)
}

// passwordDigest is what SimpleJWT writes of a password hash. It tells nothing of the
// password: the hash has a salt, and is one way already.
func passwordDigest(user users.User) string {
	return strings.ToUpper(fmt.Sprintf("%x", md5.Sum([]byte(user.Password)))) //nolint:gosec // as above
}
