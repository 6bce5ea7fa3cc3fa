package tokens

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/users"
)

// slidingRows are the endpoints of sliding tokens at a path below base_path.
func (a *Authority) slidingRows(path string) []row {
	return []row{
		{
			path, "Token Obtain Sliding", "Takes a set of user credentials and returns a sliding token.",
			a.loginFields(), a.noted(EventLogin, a.obtainSliding),
		},
		{
			path + "refresh/", "Token Refresh Sliding", "Takes a sliding token and returns one that lives on, until its refresh period ends.",
			[]drf.Field{{Name: "token", Label: "Token"}},
			a.noted(EventRefresh, a.refreshSliding),
		},
	}
}

// Sliding makes a sliding token for a user, with the id of a new session.
func (s *Issuer) Sliding(user users.User, now time.Time) (string, users.Token, error) {
	id := users.NewFamily().NewTokenID()
	end := now.Add(s.cfg.Sliding.RefreshLifetime).Truncate(time.Second)
	claims := s.fresh(typeSliding, id, now, s.cfg.Sliding.Lifetime)
	claims = append(claims, drf.Member{Name: s.cfg.Sliding.RefreshExpClaim, Value: end.Unix()})
	encoded, err := s.sign(s.about(claims, user))
	return encoded, users.Token{ID: id, UserID: &user.ID, IssuedAt: now, Expires: end.Add(s.cfg.Sliding.Lifetime)}, err
}

// Slide makes the sliding token that follows another: the same, its id included, with
// other times.
func (s *Issuer) Slide(claims drf.Object, now time.Time) (string, error) {
	next := slices.Clone(claims)
	next = with(next, "exp", now.Add(s.cfg.Sliding.Lifetime).Unix())
	next = with(next, "iat", now.Unix())
	return s.sign(next)
}

// slidingUntil is the exp of a sliding token that is made now.
func (s *Issuer) slidingUntil(now time.Time) time.Time {
	return now.Add(s.cfg.Sliding.Lifetime).Truncate(time.Second)
}

func (a *Authority) obtainSliding(r *http.Request, in drf.Input, e *Event) drf.Answer {
	user, charge, refusal := a.authenticate(r, in, e)
	if refusal != nil {
		return *refusal
	}
	now := a.now()
	encoded, token, err := a.issuer.Sliding(user, now)
	if err != nil {
		a.undo(r.Context(), charge)
		return a.undecidedFor(r, e, err)
	}
	if refusal := a.begin(r, e, user, charge, token, a.issuer.slidingUntil(now)); refusal != nil {
		return *refusal
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{{Name: "token", Value: encoded}}}
}

func (a *Authority) refreshSliding(r *http.Request, in drf.Input, e *Event) drf.Answer {
	if refusal := a.limitNetwork(r, budgetRefreshNetwork); refusal != nil {
		return *refusal
	}
	claims, fault, err := a.verifier.readRevocable(r.Context(), in.Text("token"), typeSliding)
	if err != nil {
		return a.undecidedFor(r, e, err)
	}
	if fault != "" {
		e.fault(fault)
		return a.refused(fault)
	}
	session := users.FamilyOf(a.verifier.idOf(claims))
	e.Session = session.String()
	if refusal := a.limitSession(session); refusal != nil {
		return *refusal
	}
	// The user before the end, as SimpleJWT looks.
	if refusal := a.checkOwner(r, e, claims, false); refusal != nil {
		return *refusal
	}
	now := a.now()
	if fault := a.verifier.checkSlidingEnd(claims, now); fault != "" {
		e.Reason = reasons[textExpired]
		return a.refused(fault)
	}
	token, err := a.remembered(r.Context(), claims)
	if err != nil {
		return a.undecidedFor(r, e, err)
	}
	_, err = a.store.RenewSession(r.Context(), users.Renewal{
		Old: token, AccessID: token.ID, AccessUntil: a.issuer.slidingUntil(now), Client: client(r),
	})
	switch {
	case errors.Is(err, users.ErrRevoked), errors.Is(err, users.ErrReused):
		e.fault(textBlacklisted)
		return a.refused(textBlacklisted)
	case err != nil:
		return a.undecidedFor(r, e, err)
	}
	encoded, err := a.issuer.Slide(claims, now)
	if err != nil {
		return a.undecidedFor(r, e, err)
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{{Name: "token", Value: encoded}}}
}

// checkSlidingEnd returns the text of what stands in the way of renewing a sliding
// token, or "".
func (v *Verifier) checkSlidingEnd(claims drf.Object, now time.Time) string {
	name := v.cfg.Sliding.RefreshExpClaim
	value, there := claims.Get(name)
	if !there {
		return "Token has no '" + name + "' claim"
	}
	end, ok := numericDate(value, false)
	switch {
	case !ok:
		return textInvalid
	case end <= float64(now.UnixMicro())/1e6-v.cfg.Leeway.Seconds():
		return "Token '" + name + "' claim has expired"
	}
	return ""
}
