package tokens

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/users"
)

// renew answers a refresh token of an active user with an access token, and with the
// refresh token that follows if tokens rotate. Nothing is signed before the store
// has settled who is first.
func (a *Authority) renew(r *http.Request, e *Event, claims drf.Object) drf.Answer {
	now := a.now()
	old, err := a.remembered(r.Context(), claims)
	if err != nil {
		return a.undecidedFor(r, e, err)
	}
	family := users.FamilyOf(old.ID)
	wish := users.Renewal{
		Old: old, AccessID: family.NewTokenID(), AccessUntil: a.issuer.accessUntil(now),
		RevokeOld: a.cfg.Rotation.RevokeOld, Grace: a.cfg.Rotation.Grace, Client: client(r),
	}
	if a.cfg.Rotation.Enabled {
		wish.Next = &users.Token{
			ID: family.NewTokenID(), UserID: old.UserID, IssuedAt: now,
			Expires: now.Add(a.cfg.RefreshLifetime).Truncate(time.Second),
		}
	}
	got, err := a.store.RenewSession(r.Context(), wish)
	switch {
	case errors.Is(err, users.ErrReused):
		return a.reused(r, e, old)
	case errors.Is(err, users.ErrRevoked):
		e.fault(textBlacklisted)
		return a.refused(textBlacklisted)
	case err != nil:
		return a.undecidedFor(r, e, err)
	}
	access, err := a.issuer.Access(claims, got.AccessID, got.At)
	if err != nil {
		return a.undecidedFor(r, e, err)
	}
	body := drf.Object{{Name: "access", Value: access}}
	if got.NextID != "" {
		next, err := a.issuer.Next(claims, got.NextID, got.At)
		if err != nil {
			return a.undecidedFor(r, e, err)
		}
		body = append(body, drf.Member{Name: "refresh", Value: next})
	}
	return drf.Answer{Status: http.StatusOK, Body: body}
}

// reused refuses a refresh token that was exchanged before. Somebody has a copy: who
// of the two is the user cannot be told.
func (a *Authority) reused(r *http.Request, e *Event, old users.Token) drf.Answer {
	e.Name, e.Reason = EventReuse, reasonReused
	ends := a.cfg.Rotation.revokes() && a.cfg.Rotation.OnReuse == reuseRevokeFamily
	e.detail("session_ended", ends)
	// Without rotation as it is now, nothing says what such a token means.
	if ends {
		if err := a.store.EndSession(r.Context(), old); err != nil {
			return a.undecidedFor(r, e, err)
		}
		attrs := []slog.Attr{
			slog.String("event", "refresh_reuse"),
			slog.String("family", users.FamilyOf(old.ID).String()),
			slog.String("address", client(r).Address),
			slog.String("request_id", requestID(r)),
		}
		if old.UserID != nil {
			attrs = append(attrs, slog.Int64("user_id", *old.UserID))
		}
		a.logger.LogAttrs(r.Context(), slog.LevelWarn, "a refresh token was used again; its session is ended", attrs...)
	}
	return a.refused(textBlacklisted)
}

// remembered is what the store is to know of a token that was shown.
func (a *Authority) remembered(ctx context.Context, claims drf.Object) (users.Token, error) {
	t := users.Token{ID: a.verifier.idOf(claims), Expires: expiry(claims)}
	// A sliding token keeps its id when it is renewed, for the last time at that end.
	if value, there := claims.Get(a.cfg.Sliding.RefreshExpClaim); there {
		if seconds, ok := numericDate(value, false); ok {
			t.Expires = later(t.Expires, time.Unix(int64(seconds), 0).Add(a.cfg.Sliding.Lifetime))
		}
	}
	if value, there := claims.Get("iat"); there {
		if seconds, ok := numericDate(value, false); ok {
			t.IssuedAt = time.Unix(int64(seconds), 0)
		}
	}
	id, _ := claims.Get(a.cfg.UserIDClaim)
	switch number, ok := userNumber(id); {
	case falsy(id):
	case a.cfg.UserIDField != string(users.ByID):
		user, err := a.verifier.owner(ctx, id)
		switch {
		case err == nil:
			t.UserID = &user.ID
		case !errors.Is(err, users.ErrNotFound):
			return t, err
		}
	case ok:
		t.UserID = &number
	}
	return t, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
