package tokens

import (
	"encoding/base64"
	"slices"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// Issuer makes tokens. It is immutable and safe for concurrent use.
type Issuer struct {
	cfg  Config
	ring *ring // of which a key signs, at any moment
}

// Pair is what a login gives.
type Pair struct {
	Access, Refresh string
	RefreshToken    users.Token // what the store is to remember of Refresh
	AccessUntil     time.Time   // the exp of Access
}

// Pair makes both tokens for a user, at one moment and each with an id of its own, in
// which the family of a new session is.
func (s *Issuer) Pair(user users.User, now time.Time) (Pair, error) {
	family := users.NewFamily()
	id := family.NewTokenID()
	refresh := s.fresh(typeRefresh, id, now, s.cfg.RefreshLifetime)
	refresh = s.about(refresh, user)
	encoded, err := s.sign(refresh)
	if err != nil {
		return Pair{}, err
	}
	access, err := s.Access(refresh, family.NewTokenID(), now)
	if err != nil {
		return Pair{}, err
	}
	expires := now.Add(s.cfg.RefreshLifetime).Truncate(time.Second)
	return Pair{access, encoded, users.Token{ID: id, UserID: &user.ID, IssuedAt: now, Expires: expires}, s.accessUntil(now)}, nil
}

// about adds to the claims whose token it is.
func (s *Issuer) about(claims drf.Object, user users.User) drf.Object {
	claims = append(claims, drf.Member{Name: s.cfg.UserIDClaim, Value: s.cfg.nameIn(user)})
	if s.cfg.CheckPasswordChange {
		claims = append(claims, drf.Member{Name: s.cfg.PasswordClaim, Value: passwordDigest(user)})
	}
	return s.cfg.extra(claims, user)
}

// copies tells whether an access token takes over a claim of its refresh token. It has
// those of the others of its own; a token of others may have a jti beside our id.
func (s *Issuer) copies(claim string) bool {
	switch claim {
	case "exp", "iat", claimID, s.cfg.idClaim():
		return false
	}
	return claim == "" || claim != s.cfg.typeClaim()
}

// Access makes an access token of the claims of a refresh token: all others are
// copied, in their order and in their JSON type. The same arguments make the same
// token, where the signature is not a random one (ES and PS algorithms).
func (s *Issuer) Access(refresh drf.Object, id string, now time.Time) (string, error) {
	access := s.fresh(typeAccess, id, now, s.cfg.AccessLifetime)
	for _, claim := range refresh {
		if s.copies(claim.Name) {
			access = append(access, claim)
		}
	}
	return s.sign(access)
}

// Next makes the refresh token that follows another: the same claims in their order,
// with an id and times of its own.
func (s *Issuer) Next(refresh drf.Object, id string, now time.Time) (string, error) {
	next := slices.Clone(refresh)
	next = with(next, s.cfg.idClaim(), id)
	next = with(next, "exp", now.Add(s.cfg.RefreshLifetime).Unix())
	next = with(next, "iat", now.Unix())
	return s.sign(next)
}

// accessUntil is the exp of an access token that is made now.
func (s *Issuer) accessUntil(now time.Time) time.Time {
	return now.Add(s.cfg.AccessLifetime).Truncate(time.Second)
}

// fresh returns the claims that every token begins with. Fractions of a second are
// cut off after the lifetime is added.
func (s *Issuer) fresh(kind, id string, now time.Time, lifetime time.Duration) drf.Object {
	claims := make(drf.Object, 0, 8)
	if name := s.cfg.typeClaim(); name != "" {
		claims = append(claims, drf.Member{Name: name, Value: kind})
	}
	return append(claims,
		drf.Member{Name: "exp", Value: now.Add(lifetime).Unix()},
		drf.Member{Name: "iat", Value: now.Unix()},
		drf.Member{Name: s.cfg.idClaim(), Value: id},
	)
}

// sign encodes claims as a compact JWS (RFC 7515, section 7.1), with the bytes that
// Python writes.
func (s *Issuer) sign(claims drf.Object) (string, error) {
	claims = slices.Clone(claims)
	if audience := s.cfg.Audience.claim(); audience != nil {
		claims = with(claims, "aud", audience)
	}
	if s.cfg.Issuer != "" {
		claims = with(claims, "iss", s.cfg.Issuer)
	}
	key := s.ring.set.Load().Signing()
	input := base64.RawURLEncoding.AppendEncode(nil, header(key))
	input = append(input, '.')
	input = base64.RawURLEncoding.AppendEncode(input, drf.AppendASCII(nil, claims))
	signature, err := key.Sign(string(input))
	if err != nil {
		return "", err
	}
	input = append(input, '.')
	input = base64.RawURLEncoding.AppendEncode(input, signature)
	if len(input) > maxToken {
		return "", errLongToken
	}
	return string(input), nil
}

// header is the JOSE header of a key's tokens, in the order of the alphabet as PyJWT
// sorts it. SimpleJWT knows no kid, and HMAC tokens have its header to the byte; all
// others name the key, which the reader of a JWKS needs to find it.
func header(key *keys.Key) []byte {
	members := make(drf.Object, 0, 3)
	members = append(members, drf.Member{Name: "alg", Value: key.Algorithm()})
	if !key.Symmetric() {
		members = append(members, drf.Member{Name: "kid", Value: key.ID()})
	}
	return drf.AppendASCII(nil, append(members, drf.Member{Name: "typ", Value: "JWT"}))
}
