package tokens

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// Verifier checks tokens. It never changes, but for what it remembers of good ones,
// and is safe for concurrent use.
type Verifier struct {
	cfg   Config
	ring  *ring
	store *users.Store // nil: there is none
	// ownStore tells that our tokens are for users of the store; names says whom they
	// name where they are not.
	ownStore bool
	names    mapping
	// trusted are the issuers elsewhere, by name; nil: none.
	trusted map[string]*trusted
	// classes are the types of tokens that open routes.
	classes    []tokenClass
	rejections map[string]*Rejection // by text
	now        func() time.Time
	seen       *verified // nil: each token is checked anew
	late       *verified // tokens that were good once; nil: likewise
	strangers  gate      // nil: no bound
}

// Principal is whom a good token belongs to. It must not be changed.
type Principal struct {
	UserID  string     // of a user of the store the number, in digits; else what the token says
	User    users.User // as the store has them now; else what the token says, with the ID 0
	Claims  drf.Object // the payload of the token
	TokenID string     // jti
	Issuer  string     // of a trusted issuer its name; "" where the token is ours
	Expires time.Time  // exp; with the leeway added, no request passes behind it

	// Derived remembers what a room above has made of UserID and User, and of nothing
	// else: the next principal with the same account has it too. nil: nothing is.
	Derived *atomic.Value
}

// Verify takes a bearer token as a protected view of SimpleJWT does. The error is a
// *Rejection if the token is refused, and any other if that could not be decided.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	t, err := v.readBearer(ctx, token)
	if err != nil {
		return nil, err
	}
	if t.by != nil {
		return v.verifyForeign(ctx, t.by, t.claims)
	}
	if !v.ownStore {
		return v.named(t.claims)
	}
	if !t.names {
		return nil, v.reject("no_user_claim", "Token contained no recognizable user identification", codeInvalid)
	}
	user, err := v.liveOwner(ctx, t.owner)
	switch {
	case errors.Is(err, users.ErrNotFound):
		return nil, v.reject("user_not_found", "User not found", "user_not_found")
	case err != nil:
		return nil, err
	}
	if err := v.checkUser(ctx, t.claims, t.family, &user.User); err != nil {
		return nil, err
	}
	return &Principal{
		UserID: decimal(user.ID), User: user.User, Claims: t.claims,
		TokenID: t.id, Expires: t.expires, Derived: &user.Derived,
	}, nil
}

// checkUser refuses a token, which is of that session, whose user may not use it any more.
func (v *Verifier) checkUser(ctx context.Context, claims drf.Object, family users.Family, user *users.User) error {
	switch {
	case !user.IsActive && !v.cfg.AcceptInactive:
		return v.reject("user_inactive", "User is inactive", "user_inactive")
	case !v.cfg.samePassword(claims, *user):
		return v.reject("password_changed", textPassword, "password_changed")
	}
	// Behind the user: of one who is gone or disabled, that is said.
	switch gone, err := v.store.SessionEnded(ctx, family); {
	case err != nil:
		return err
	case gone || isBefore(claims, user):
		return v.rejectToken(textBlacklisted)
	}
	return nil
}

// isBefore tells whether a token was made in a second before the one in which all
// sessions of its user were ended. It is for tokens that others made: ours are known
// by their session. A token that does not say when it was made is of before.
func isBefore(claims drf.Object, user *users.User) bool {
	if user.SessionsEnded.IsZero() {
		return false
	}
	value, _ := claims.Get("iat")
	made, _ := numericDate(value, false)
	return int64(made) < user.SessionsEnded.Unix()
}

// bearer is what a good token says, and what follows from that alone: the token's bytes
// and the configuration, which a Verifier never changes.
type bearer struct {
	claims drf.Object
	by     *trusted // whose token it is; nil: ours
	times  times

	// Of ours:
	names    bool         // somebody
	owner    owner        // whom
	id       string       // jti
	family   users.Family // the session
	expires  time.Time
	isAccess bool // it is of the type that cannot be revoked
}

func (v *Verifier) bearerOf(claims drf.Object, by *trusted) *bearer {
	b := &bearer{claims: claims, by: by, expires: expiry(claims)}
	b.times, _ = timesOf(claims)
	if by == nil {
		b.id = v.idOf(claims)
		b.family = users.FamilyOf(b.id)
		b.isAccess = v.isAccess(claims)
		var id any
		if id, b.names = claims.Get(v.cfg.UserIDClaim); b.names {
			b.owner = v.readOwner(id)
		}
	}
	return b
}

// readBearer is read for a token of one of the types that open routes, or of a trusted
// issuer. What follows from the text and the key is found out once for a token that
// comes again; the times, the key and what was revoked are looked at each time.
func (v *Verifier) readBearer(ctx context.Context, token string) (*bearer, error) {
	// Before anything is looked up: what is no token was never good, and to take it for
	// garbage is nearly free.
	if !isShaped(token) {
		return nil, v.rejectToken(textInvalid)
	}
	now := v.now()
	hash := v.seen.hash(token)
	if e := v.seen.get(token, hash); e != nil {
		switch {
		case !v.holds(e, now):
			v.seen.drop(e) // another key may have the same secret
		case e.times.fault(now, v.cfg.Leeway) != "":
			v.seen.drop(e)
			return nil, v.rejectToken(e.times.fault(now, v.cfg.Leeway))
		default:
			return &e.bearer, v.checkRevoked(ctx, &e.bearer)
		}
	}
	if v.isLate(token, hash, now) {
		return nil, v.rejectToken(textExpired)
	}
	claims, key, by, fault, err := v.readAt(ctx, token, now)
	if err != nil {
		return nil, err
	}
	if fault != "" {
		if fault == textExpired {
			b := &bearer{by: by}
			b.times, _ = timesOf(claims)
			v.late.put(token, hash, b, key, now.Add(lateKept), now)
		}
		return nil, v.rejectToken(fault)
	}
	if by == nil {
		if err := v.checkClass(ctx, claims); err != nil {
			return nil, err
		}
	}
	b := v.bearerOf(claims, by)
	v.seen.put(token, hash, b, key, b.expires.Add(v.cfg.Leeway), now)
	return b, v.checkRevoked(ctx, b)
}

// lateKept is for how long a token is known to have expired.
const lateKept = 10 * time.Minute

// isLate tells whether a token was found to be well signed and expired before: clients
// that do not notice go on asking with it. They have memory of their own, which takes
// none from the tokens that are good, and what is remembered opens nothing.
func (v *Verifier) isLate(token string, hash uint64, now time.Time) bool {
	e := v.late.get(token, hash)
	if e == nil {
		return false
	}
	if v.holds(e, now) && e.times.fault(now, v.cfg.Leeway) == textExpired {
		return true
	}
	v.late.drop(e) // the key has gone, or the clock was wrong
	return false
}

// holds tells whether the key of a remembered token still counts.
func (v *Verifier) holds(e *verifiedToken, now time.Time) bool {
	if e.by != nil {
		return e.by.source.Holds(e.key)
	}
	return v.ring.set.Load().Holds(e.key, now)
}

// read returns the claims of a token that is signed by one of our keys, is of now,
// and is from and for whom we are told; else the text of what is wrong. It says
// nothing on what the token may be used for. A token of a trusted issuer is none.
func (v *Verifier) read(token string) (drf.Object, string) {
	now := v.now()
	p, ok := split(token)
	if !ok {
		return nil, textInvalid
	}
	claims, _, fault := v.readOurs(p, nil, now)
	switch {
	case fault != "":
		return nil, fault
	case v.issuerOf(claims) != nil:
		return nil, textInvalid // whatever key has signed it, it is not ours
	}
	return claims, ""
}

// readAt is read for tokens of trusted issuers too. What a token says of its issuer
// decides by whose keys it is checked, and no other's.
func (v *Verifier) readAt(ctx context.Context, token string, now time.Time) (claims drf.Object, key *keys.Key, by *trusted, fault string, err error) {
	p, ok := split(token)
	if !ok {
		return nil, nil, nil, textInvalid, nil
	}
	if len(v.trusted) > 0 {
		if claims, ok = claimsOf(p.payload); !ok {
			return nil, nil, nil, textInvalid, nil
		}
		if by = v.issuerOf(claims); by != nil {
			key, fault, err = v.readForeign(ctx, by, p, claims, now)
			return claims, key, by, fault, err
		}
	}
	claims, key, fault = v.readOurs(p, claims, now)
	return claims, key, nil, fault, nil
}

// readKnown is readAt, with what routes remember: a backend that has each request
// verified asks for the same tokens that open routes, which are then remembered too.
func (v *Verifier) readKnown(ctx context.Context, token string, now time.Time) (drf.Object, *trusted, string, error) {
	hash := v.seen.hash(token)
	if e := v.seen.get(token, hash); e != nil && v.holds(e, now) && e.times.fault(now, v.cfg.Leeway) == "" {
		return e.claims, e.by, "", nil
	}
	claims, key, by, fault, err := v.readAt(ctx, token, now)
	// No other type: whatever is remembered opens routes.
	if err == nil && fault == "" && (by != nil || v.opens(claims)) {
		b := v.bearerOf(claims, by)
		v.seen.put(token, hash, b, key, b.expires.Add(v.cfg.Leeway), now)
	}
	return claims, by, fault, err
}

// readOurs checks a token of ours. The claims are nil where they are not read yet. Where
// they are at fault, they and the key are returned too.
func (v *Verifier) readOurs(p parts, claims drf.Object, now time.Time) (drf.Object, *keys.Key, string) {
	key := v.signer(p, now)
	if key == nil {
		return nil, nil, textInvalid
	}
	if claims == nil {
		var ok bool
		if claims, ok = claimsOf(p.payload); !ok {
			return nil, nil, textInvalid
		}
	}
	return claims, key, v.checkRegistered(claims, now)
}

// signer is the key whose signature the token has, or nil.
func (v *Verifier) signer(p parts, now time.Time) *keys.Key {
	defer v.strangers.enter().leave()
	for key := range v.ring.set.Load().Candidates(p.algorithm, p.keyID, now) {
		if key.Verify(p.signed, p.signature) == nil {
			return key
		}
	}
	return nil
}

// gate lets so many in at once as it has room for; the others wait for their turn. nil
// lets everybody in.
//
// It stands before signatures that are not known yet. A flood of tokens that nobody
// made keeps every processor busy with them otherwise, and requests whose tokens are
// known wait behind it for a processor; so half of the processors are theirs.
type gate chan struct{}

func newGate(processors int) gate { return make(gate, max(1, processors/2)) }

func (g gate) enter() gate {
	if g != nil {
		g <- struct{}{}
	}
	return g
}

func (g gate) leave() {
	if g != nil {
		<-g
	}
}

// readRevocable is read for a token of a kind that can be revoked. The claims are
// there also if it was. The error tells that it could not be decided.
func (v *Verifier) readRevocable(ctx context.Context, token, kind string) (drf.Object, string, error) {
	claims, fault := v.read(token)
	if fault != "" {
		return nil, fault, nil
	}
	revoked, err := v.revoked(ctx, claims)
	if err != nil {
		return nil, "", err
	}
	if revoked {
		return claims, textBlacklisted, nil
	}
	return claims, v.cfg.checkToken(claims, kind), nil
}
