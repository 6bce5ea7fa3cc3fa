package tokens

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"gatehouse/tokens/drf"
	"gatehouse/users"
	"gatehouse/users/password"
)

// Endpoint is a path that is answered here and not by an upstream.
type Endpoint struct {
	Path    string
	Handler http.Handler
}

// maxBody is the largest body of a request to an endpoint, in bytes: room for any
// token and any password, and nothing to fill a memory with.
const maxBody = 64 << 10

// Endpoints returns the token endpoints, each with and without its final slash, and
// the JWKS where there are public keys. Without a key that signs there is nothing to
// obtain, refresh or revoke here, and no key of our own to publish: only verify is
// left, and the other paths are whose who issues the tokens.
func (a *Authority) Endpoints() []Endpoint {
	rows := []struct {
		path, name, about string
		fields            []drf.Field
		post              func(*http.Request, drf.Input) drf.Answer
	}{
		{
			"/", "Token Obtain Pair", "Takes a set of user credentials and returns a pair of tokens.",
			a.loginFields(),
			a.obtain,
		},
		{
			"/refresh/", "Token Refresh", "Takes a refresh token and returns an access token.",
			[]drf.Field{{Name: "refresh", Label: "Refresh"}, {Name: "access", Label: "Access", ReadOnly: true}},
			a.refresh,
		},
		{
			"/verify/", "Token Verify", "Takes a token and tells whether it is valid, whatever it is for.",
			[]drf.Field{{Name: "token", Label: "Token"}},
			a.verify,
		},
		{
			"/blacklist/", "Token Blacklist", "Takes a refresh token and revokes it.",
			[]drf.Field{{Name: "refresh", Label: "Refresh"}},
			a.blacklist,
		},
		{
			"/logout/", "Logout", "Takes any token of a session and ends the session, or all of the user's with ?all=true.",
			logoutFields,
			a.logout,
		},
	}
	endpoints := make([]Endpoint, 0, 2*len(rows)+1)
	for _, row := range rows {
		if a.issuer == nil && row.path != "/verify/" {
			continue
		}
		path := a.cfg.BasePath + row.path
		endpoints = append(endpoints,
			Endpoint{path, &drf.View{
				Name: row.name, Description: row.about, Fields: row.fields,
				Authenticate: challenge, MaxBody: maxBody, Post: row.post,
			}},
			Endpoint{path[:len(path)-1], drf.RedirectSlash(path)})
	}
	if a.issuer != nil && a.verifier.keys.Public() {
		endpoints = append(endpoints, Endpoint{pathJWKS, &jwks{a.verifier.keys, a.now}})
	}
	return endpoints
}

// loginFields are what a login sends.
func (a *Authority) loginFields() []drf.Field {
	name := a.login.UsernameField
	return []drf.Field{{Name: name, Label: label(name)}, {Name: "password", Label: "Password"}}
}

func (a *Authority) obtain(r *http.Request, in drf.Input) drf.Answer {
	user, err := a.store.AuthenticateBy(r.Context(), users.Column(a.login.FindBy), in.Text(a.login.UsernameField), in.Text("password"))
	if errors.Is(err, users.ErrCredentials) {
		return noAccount()
	}
	if err != nil {
		return a.undecided(r, err)
	}
	pair, err := a.issuer.Pair(user, a.now())
	if err != nil {
		return a.undecided(r, err)
	}
	err = a.store.StartSession(r.Context(), user, pair.RefreshToken, pair.AccessUntil, client(r), a.login.UpdateLastLogin)
	if errors.Is(err, users.ErrCredentials) {
		return noAccount()
	}
	if err != nil {
		return a.undecided(r, err)
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{{Name: "refresh", Value: pair.Refresh}, {Name: "access", Value: pair.Access}}}
}

// noAccount is the one answer to all logins that fail.
func noAccount() drf.Answer {
	return drf.Detail(http.StatusUnauthorized, "No active account found with the given credentials")
}

// client is who asks, as far as a session remembers it.
func client(r *http.Request) users.Client {
	c := users.Client{UserAgent: r.UserAgent()}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Address = peer.Addr().Unmap().String()
	}
	return c
}

func (a *Authority) refresh(r *http.Request, in drf.Input) drf.Answer {
	claims, fault, err := a.verifier.readRefresh(r.Context(), in.Text("refresh"))
	// It may have been exchanged just now, which is looked at last.
	revoked := fault == textBlacklisted
	if revoked && a.cfg.Rotation.revokes() && checkToken(claims, typeRefresh) == "" {
		fault = ""
	}
	if err != nil {
		return a.undecided(r, err)
	}
	if fault != "" {
		return drf.Coded(http.StatusUnauthorized, fault, codeInvalid)
	}
	if id, _ := claims.Get(claimUser); !falsy(id) {
		active, err := a.isActive(r, id)
		if err != nil {
			return a.undecided(r, err)
		}
		if !active && revoked {
			return drf.Coded(http.StatusUnauthorized, textBlacklisted, codeInvalid)
		}
		if !active {
			return drf.Detail(http.StatusUnauthorized, "No active account found for the given token.")
		}
	}
	return a.renew(r, claims)
}

// isActive asks the store itself, not what was held of it: a refresh is rare, and
// must not outlive its user.
func (a *Authority) isActive(r *http.Request, id any) (bool, error) {
	number, ok := userNumber(id)
	if !ok {
		return false, nil
	}
	user, err := a.store.UserByID(r.Context(), number)
	if errors.Is(err, users.ErrNotFound) {
		return false, nil
	}
	return user.IsActive, err
}

func (a *Authority) verify(r *http.Request, in drf.Input) drf.Answer {
	claims, fault := a.verifier.read(in.Text("token"))
	if fault == "" {
		fault = checkToken(claims, "")
	}
	if fault != "" {
		return drf.Coded(http.StatusUnauthorized, fault, codeInvalid)
	}
	if a.cfg.Rotation.revokes() && a.store != nil {
		revoked, err := a.store.Revoked(r.Context(), text(claims, "jti"))
		if err != nil {
			return a.undecided(r, err)
		}
		if revoked {
			return drf.Answer{Status: http.StatusBadRequest, Body: drf.Object{{Name: "non_field_errors", Value: []string{textBlacklisted}}}}
		}
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{}}
}

func (a *Authority) blacklist(r *http.Request, in drf.Input) drf.Answer {
	claims, fault, err := a.verifier.readRefresh(r.Context(), in.Text("refresh"))
	if err != nil {
		return a.undecided(r, err)
	}
	if fault != "" {
		return drf.Coded(http.StatusUnauthorized, fault, codeInvalid)
	}
	token := a.remembered(claims)
	token.IssuedAt = a.now()
	if err := a.store.RevokeToken(r.Context(), token); err != nil {
		return a.undecided(r, err)
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{}}
}

// undecided is the answer where the store or the hashing pool did not do its part:
// the client may try again, and learns nothing of the inside.
func (a *Authority) undecided(r *http.Request, err error) drf.Answer {
	answer := drf.Detail(http.StatusServiceUnavailable, "The service is temporarily unavailable. Try again later.")
	answer.Header = http.Header{"Retry-After": {"5"}}
	switch {
	case errors.Is(err, password.ErrBusy):
		answer = drf.Detail(http.StatusServiceUnavailable, "Too many logins at once. Try again in a moment.")
		answer.Header = http.Header{"Retry-After": {"1"}}
		a.logger.WarnContext(r.Context(), "login refused: the hashing queue is full")
	case r.Context().Err() != nil:
		// The client has gone away; nobody is waiting for the answer.
	default:
		a.logger.ErrorContext(r.Context(), "a token endpoint could not decide", slog.Any("error", err))
	}
	return answer
}
