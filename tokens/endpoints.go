package tokens

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/users"
	"gatehouse/users/password"
)

// Endpoint is a path that is answered here and not by an upstream.
type Endpoint struct {
	Path    string
	Handler http.Handler
	CORS    string // Config.CORS
}

// maxBody is the largest body of a request to an endpoint, in bytes: room for any
// token and any password, and nothing to fill a memory with.
const maxBody = 64 << 10

// row is one endpoint: where, what it is called, what it takes, and what it answers.
type row struct {
	path, name, about string // path: below base_path
	fields            []drf.Field
	post              func(*http.Request, drf.Input) drf.Answer
}

// Endpoints returns the token endpoints, each with and without its final slash, and
// the JWKS where there are public keys. Without a key that signs there is nothing to
// obtain, refresh or revoke here, and no key of our own to publish: only verify is
// left, and the other paths are whose who issues the tokens.
func (a *Authority) Endpoints() []Endpoint {
	rows := a.rows()
	endpoints := make([]Endpoint, 0, 2*len(rows)+1)
	for _, row := range rows {
		if a.issuer == nil && row.path != "/verify/" {
			continue
		}
		path := a.cfg.BasePath + row.path
		endpoints = append(endpoints,
			Endpoint{path, &drf.View{
				Name: row.name, Description: row.about, Fields: row.fields,
				Authenticate: a.verifier.Challenge(), MaxBody: maxBody, Post: a.metrics.counted(row.path, row.post),
			}, a.cfg.CORS},
			Endpoint{path[:len(path)-1], drf.RedirectSlash(path), a.cfg.CORS})
	}
	if a.issuer != nil && a.Keys().Public() {
		endpoints = append(endpoints, Endpoint{pathJWKS, &jwks{a.verifier.ring, a.now}, a.cfg.CORS})
		if path, document := newDiscovery(a.cfg, a.verifier.ring, a.now); document != nil {
			endpoints = append(endpoints, Endpoint{path, document, a.cfg.CORS})
		}
	}
	return endpoints
}

func (a *Authority) rows() []row {
	rows := []row{
		{
			"/", "Token Obtain Pair", "Takes a set of user credentials and returns a pair of tokens.",
			a.loginFields(), a.noted(EventLogin, a.obtain),
		},
		{
			"/refresh/", "Token Refresh", "Takes a refresh token and returns an access token.",
			[]drf.Field{{Name: "refresh", Label: "Refresh"}, {Name: "access", Label: "Access", ReadOnly: true}},
			a.noted(EventRefresh, a.refresh),
		},
		{
			"/verify/", "Token Verify", "Takes a token and tells whether it is valid, whatever it is for.",
			[]drf.Field{{Name: "token", Label: "Token"}},
			a.verify,
		},
		{
			"/blacklist/", "Token Blacklist", "Takes a refresh token and revokes it.",
			[]drf.Field{{Name: "refresh", Label: "Refresh"}},
			a.noted(EventBlacklist, a.blacklist),
		},
		{
			"/logout/", "Logout", "Takes any token of a session and ends the session, or all of the user's with ?all=true.",
			logoutFields,
			a.noted(EventLogout, a.logout),
		},
	}
	switch {
	case !a.cfg.Sliding.Enabled:
	case a.cfg.Sliding.Path == "/":
		copy(rows, a.slidingRows("/"))
	default:
		rows = append(rows, a.slidingRows(a.cfg.Sliding.Path+"/")...)
	}
	return rows
}

// loginFields are what a login sends.
func (a *Authority) loginFields() []drf.Field {
	name := a.login.UsernameField
	return []drf.Field{{Name: name, Label: label(name)}, {Name: "password", Label: "Password"}}
}

func (a *Authority) obtain(r *http.Request, in drf.Input, e *Event) drf.Answer {
	user, charge, refusal := a.authenticate(r, in, e)
	if refusal != nil {
		return *refusal
	}
	pair, err := a.issuer.Pair(user, a.now())
	if err != nil {
		a.undo(r.Context(), charge)
		return a.undecidedFor(r, e, err)
	}
	if refusal := a.begin(r, e, user, charge, pair.RefreshToken, pair.AccessUntil); refusal != nil {
		return *refusal
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{{Name: "refresh", Value: pair.Refresh}, {Name: "access", Value: pair.Access}}}
}

// begin begins the session of a login.
func (a *Authority) begin(r *http.Request, e *Event, user users.User, charge *users.Charge, refresh users.Token, accessUntil time.Time) *drf.Answer {
	err := a.store.StartSession(r.Context(), user, refresh, accessUntil, client(r), a.login.UpdateLastLogin)
	switch {
	case errors.Is(err, users.ErrCredentials):
		e.Reason = string(users.DeniedChanged)
		answer := noAccount()
		return &answer
	case err != nil:
		a.undo(r.Context(), charge)
		answer := a.undecidedFor(r, e, err)
		return &answer
	}
	e.Session = users.FamilyOf(refresh.ID).String()
	e.revoke = func(ctx context.Context) error { return a.store.EndSession(ctx, refresh) }
	if err := charge.Succeeded(r.Context()); err != nil {
		a.logger.WarnContext(r.Context(), "the budgets of a login that went well could not be given back", slog.Any("user", user), slog.Any("error", err))
	}
	return nil
}

// authenticate returns the user of a login, of whom tokens can be made, and what was
// taken from the budgets for it.
func (a *Authority) authenticate(r *http.Request, in drf.Input, e *Event) (users.User, *users.Charge, *drf.Answer) {
	name := in.Text(a.login.UsernameField)
	refuse := func(answer drf.Answer) (users.User, *users.Charge, *drf.Answer) { return users.User{}, nil, &answer }
	charge, err := a.chargeLogin(r, name)
	if answer, budget, ok := a.throttled(err); ok {
		a.deniedUnseen(r.Context(), e, name, budget)
		return refuse(answer)
	}
	if err != nil {
		return refuse(a.undecidedFor(r, e, err))
	}
	undecided := func(err error) (users.User, *users.Charge, *drf.Answer) {
		a.undo(r.Context(), charge)
		return refuse(a.undecidedFor(r, e, err))
	}
	user, denial, err := a.store.AuthenticateFor(r.Context(), users.Column(a.login.FindBy), name, in.Text("password"))
	switch {
	case errors.Is(err, users.ErrCredentials):
		a.denied(r.Context(), e, name, denial)
		return refuse(noAccount())
	case err != nil:
		return undecided(err)
	}
	e.of(user)
	switch {
	case a.cfg.UserIDField != string(users.ByEmail):
		return user, charge, nil
	}
	// A token that named nobody, or somebody else, would be one for whoever has the
	// address tomorrow.
	switch found, err := a.store.UserBy(r.Context(), users.ByEmail, user.Email); {
	case err == nil && found.ID == user.ID:
		return user, charge, nil
	case err != nil && !errors.Is(err, users.ErrNotFound):
		return undecided(err)
	}
	a.logger.WarnContext(r.Context(), "login refused: tokens name users by their e-mail address, and this one has none of their own", slog.Any("user", user))
	e.Reason = reasonNoAddress
	return refuse(noAccount())
}

// noAccount is the one answer to all logins that fail.
func noAccount() drf.Answer {
	return drf.Detail(http.StatusUnauthorized, "No active account found with the given credentials")
}

// client is who asks, as far as a session remembers it.
func client(r *http.Request) users.Client {
	c := users.Client{UserAgent: r.UserAgent()}
	if addr := address(r); addr.IsValid() {
		c.Address = addr.String()
	}
	return c
}

// address is that of the client, as the gateway found it; invalid where there is none.
func address(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// requestID is the one that the gateway gave the request.
func requestID(r *http.Request) string { return r.Header.Get("X-Request-Id") }

func (a *Authority) refresh(r *http.Request, in drf.Input, e *Event) drf.Answer {
	if refusal := a.limitNetwork(r, budgetRefreshNetwork); refusal != nil {
		return *refusal
	}
	claims, fault, err := a.verifier.readRevocable(r.Context(), in.Text("refresh"), typeRefresh)
	// It may have been exchanged just now, which is looked at last.
	revoked := fault == textBlacklisted
	if revoked && a.cfg.Rotation.revokes() && a.cfg.checkToken(claims, typeRefresh) == "" {
		fault = ""
	}
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
	if refusal := a.checkOwner(r, e, claims, revoked); refusal != nil {
		return *refusal
	}
	return a.renew(r, e, claims)
}

// refused is the answer to a token that is no good.
func (a *Authority) refused(fault string) drf.Answer {
	answer := drf.Coded(http.StatusUnauthorized, a.cfg.said(fault), codeInvalid)
	answer.Reason = reasonOf(fault)
	return answer
}

// checkOwner looks whether the user of a token that is to be renewed is there, active
// and of the same password. A token of another password is revoked. One that names
// nobody passes, as with SimpleJWT. Of one that was revoked nothing else is said.
func (a *Authority) checkOwner(r *http.Request, e *Event, claims drf.Object, revoked bool) *drf.Answer {
	refuse := func(answer drf.Answer) *drf.Answer {
		if revoked {
			e.fault(textBlacklisted)
			answer = a.refused(textBlacklisted)
		}
		return &answer
	}
	id, _ := claims.Get(a.cfg.UserIDClaim)
	if falsy(id) {
		return nil
	}
	user, err := a.verifier.owner(r.Context(), id)
	if err == nil {
		e.of(user)
	}
	switch {
	case err != nil && !errors.Is(err, users.ErrNotFound):
		answer := a.undecidedFor(r, e, err)
		return &answer
	case err != nil || !user.IsActive && !a.cfg.AcceptInactive:
		e.Reason = reasonInactive
		return refuse(drf.Detail(http.StatusUnauthorized, "No active account found for the given token."))
	case a.cfg.samePassword(claims, user):
		return nil
	}
	token, err := a.remembered(r.Context(), claims)
	if err == nil && !revoked {
		err = a.store.RevokeToken(r.Context(), token)
	}
	if err != nil {
		answer := a.undecidedFor(r, e, err)
		return &answer
	}
	e.Reason = reasonPassword
	return refuse(drf.Detail(http.StatusUnauthorized, textPassword))
}

func (a *Authority) verify(r *http.Request, in drf.Input) drf.Answer {
	if refusal := a.limitNetwork(r, budgetVerifyNetwork); refusal != nil {
		return *refusal
	}
	claims, by, fault, err := a.verifier.readKnown(r.Context(), in.Text("token"), a.now())
	if err != nil {
		return a.undecided(r, err)
	}
	if fault == "" && by == nil {
		fault = a.cfg.checkToken(claims, "")
	}
	if fault != "" {
		return a.refused(fault)
	}
	if a.cfg.Rotation.revokes() && a.store != nil && by == nil {
		revoked, err := a.store.Revoked(r.Context(), a.verifier.idOf(claims))
		if err != nil {
			return a.undecided(r, err)
		}
		if revoked {
			return drf.Answer{Status: http.StatusBadRequest, Body: drf.Object{{Name: "non_field_errors", Value: []string{textBlacklisted}}}, Reason: reasonOf(textBlacklisted)}
		}
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{}}
}

func (a *Authority) blacklist(r *http.Request, in drf.Input, e *Event) drf.Answer {
	if refusal := a.limitNetwork(r, budgetRefreshNetwork); refusal != nil {
		return *refusal
	}
	claims, fault, err := a.verifier.readRevocable(r.Context(), in.Text("refresh"), typeRefresh)
	if err != nil {
		return a.undecidedFor(r, e, err)
	}
	if fault != "" {
		e.fault(fault)
		return a.refused(fault)
	}
	token, err := a.remembered(r.Context(), claims)
	if err != nil {
		return a.undecidedFor(r, e, err)
	}
	a.about(r.Context(), e, token)
	token.IssuedAt = a.now()
	// A refresh may have come in between: then the session goes on, and who asked to
	// end it must not be told that it is over.
	err = a.store.RevokeLiveToken(r.Context(), token)
	if errors.Is(err, users.ErrRevoked) {
		e.fault(textBlacklisted)
		return a.refused(textBlacklisted)
	}
	if err != nil {
		return a.undecidedFor(r, e, err)
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{}}
}

// undecided is the answer where the store or the hashing pool did not do its part:
// the client may try again, and learns nothing of the inside.
func (a *Authority) undecided(r *http.Request, err error) drf.Answer {
	answer := drf.Detail(http.StatusServiceUnavailable, "The service is temporarily unavailable. Try again later.")
	answer.Header, answer.Reason = http.Header{"Retry-After": {"5"}}, reasonUnavailable
	switch {
	case errors.Is(err, password.ErrBusy):
		answer = drf.Detail(http.StatusServiceUnavailable, "Too many logins at once. Try again in a moment.")
		answer.Header, answer.Reason = http.Header{"Retry-After": {"1"}}, reasonBusy
		a.logger.WarnContext(r.Context(), "login refused: the hashing queue is full", slog.String("request_id", requestID(r)))
	case r.Context().Err() != nil:
		// The client has gone away; nobody is waiting for the answer.
	default:
		a.logger.ErrorContext(r.Context(), "a token endpoint could not decide", slog.Any("error", err), slog.String("request_id", requestID(r)))
	}
	return answer
}
