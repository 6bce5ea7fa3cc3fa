package tokens

import (
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
func (a *Authority) renew(r *http.Request, claims drf.Object) drf.Answer {
	now := a.now()
	old := a.remembered(claims)
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
		return a.reused(r, old)
	case errors.Is(err, users.ErrRevoked):
		return drf.Coded(http.StatusUnauthorized, textBlacklisted, codeInvalid)
	case err != nil:
		return a.undecided(r, err)
	}
	access, err := a.issuer.Access(claims, got.AccessID, got.At)
	if err != nil {
		return a.undecided(r, err)
	}
	body := drf.Object{{Name: "access", Value: access}}
	if got.NextID != "" {
		next, err := a.issuer.Next(claims, got.NextID, got.At)
		if err != nil {
			return a.undecided(r, err)
		}
		body = append(body, drf.Member{Name: "refresh", Value: next})
	}
	return drf.Answer{Status: http.StatusOK, Body: body}
}

// reused refuses a refresh token that was exchanged before. Somebody has a copy: who
// of the two is the user cannot be told.
func (a *Authority) reused(r *http.Request, old users.Token) drf.Answer {
	// Without rotation as it is now, nothing says what such a token means.
	if a.cfg.Rotation.revokes() && a.cfg.Rotation.OnReuse == reuseRevokeFamily {
		if err := a.store.EndSession(r.Context(), old); err != nil {
			return a.undecided(r, err)
		}
		attrs := []slog.Attr{
			slog.String("event", "refresh_reuse"),
			slog.String("family", users.FamilyOf(old.ID).String()),
			slog.String("address", client(r).Address),
		}
		if old.UserID != nil {
			attrs = append(attrs, slog.Int64("user_id", *old.UserID))
		}
		a.logger.LogAttrs(r.Context(), slog.LevelWarn, "a refresh token was used again; its session is ended", attrs...)
	}
	return drf.Coded(http.StatusUnauthorized, textBlacklisted, codeInvalid)
}

// remembered is what the store is to know of a token that was shown.
func (a *Authority) remembered(claims drf.Object) users.Token {
	t := users.Token{ID: text(claims, "jti"), Expires: expiry(claims)}
	if value, there := claims.Get("iat"); there {
		if seconds, ok := numericDate(value, false); ok {
			t.IssuedAt = time.Unix(int64(seconds), 0)
		}
	}
	if id, _ := claims.Get(claimUser); !falsy(id) {
		if number, ok := userNumber(id); ok {
			t.UserID = &number
		}
	}
	return t
}
