package tokens

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"gatehouse/tokens/drf"
	"gatehouse/users"
)

// logoutFields are where a token may stand; all that are there count.
var logoutFields = []drf.Field{
	{Name: "token", Label: "Token", Optional: true},
	{Name: "refresh", Label: "Refresh", Optional: true},
	{Name: "access", Label: "Access", Optional: true},
}

// logout ends the session of each good token of the request, or with ?all=true all
// sessions of its user. SimpleJWT has no such endpoint.
func (a *Authority) logout(r *http.Request, in drf.Input, e *Event) drf.Answer {
	if refusal := a.limitNetwork(r, budgetRefreshNetwork); refusal != nil {
		return *refusal
	}
	all, ok := wantsAll(r)
	if !ok {
		return drf.Answer{Status: http.StatusBadRequest, Body: drf.Object{{Name: "all", Value: []string{"Must be a valid boolean."}}}}
	}
	if all {
		e.detail("all", true)
	}
	var given []string
	for _, field := range logoutFields {
		if token, there := in[field.Name]; there {
			given = append(given, token)
		}
	}
	if len(given) == 0 {
		if words := strings.Fields(r.Header.Get(a.cfg.HeaderName)); len(words) == 2 && a.verifier.TakesScheme(words[0]) {
			given = append(given, words[1])
		}
	}
	if len(given) == 0 {
		return drf.Answer{Status: http.StatusBadRequest, Body: drf.Object{{Name: "token", Value: []string{
			"This field is required; or refresh, or access, or a token in the header " + a.cfg.HeaderName + ".",
		}}}}
	}
	var first string // what is wrong with the first that is no good
	done := false
	for _, token := range given {
		fault, err := a.endSession(r, e, token, all)
		if err != nil {
			return a.undecidedFor(r, e, err)
		}
		done = done || fault == ""
		if first == "" {
			first = fault
		}
	}
	// An app that sends both need not look whether its access token has expired.
	if !done {
		e.fault(first)
		return a.refused(first)
	}
	return drf.Answer{Status: http.StatusOK, Body: drf.Object{}}
}

// wantsAll reads ?all in the words that a boolean field of Django REST Framework
// takes, since it is a client of that which writes it.
func wantsAll(r *http.Request) (all, ok bool) {
	query := r.URL.Query()
	if !query.Has("all") {
		return false, true
	}
	switch strings.ToLower(query.Get("all")) {
	case "true", "t", "yes", "y", "on", "1":
		return true, true
	case "false", "f", "no", "n", "off", "0":
		return false, true
	}
	return false, false
}

// endSession ends what one token stands for, and returns what is wrong with it. A
// refresh token that was exchanged still ends its session, because the tab that
// holds it may not know; but not those of others.
func (a *Authority) endSession(r *http.Request, e *Event, token string, all bool) (fault string, err error) {
	claims, fault := a.verifier.read(token)
	if fault == "" {
		fault = a.cfg.checkToken(claims, "")
	}
	if fault != "" {
		return fault, nil
	}
	kind := text(claims, a.cfg.typeClaim())
	if a.cfg.typeClaim() != "" && !slices.Contains([]string{typeAccess, typeRefresh, typeSliding}, kind) {
		return textWrongType, nil
	}
	t, err := a.remembered(r.Context(), claims)
	if err != nil {
		return "", err
	}
	gone, err := a.isOver(r, claims, t)
	if err != nil || gone {
		return textBlacklisted, err
	}
	if kind != typeAccess {
		revoked, exchanged, err := a.store.TokenState(r.Context(), t.ID)
		if err != nil || revoked && (all || !exchanged) {
			return textBlacklisted, err
		}
	}
	if err := a.store.EndSession(r.Context(), t); err != nil {
		return "", err
	}
	a.about(r.Context(), e, t)
	if all && t.UserID != nil {
		err = a.store.EndSessions(r.Context(), *t.UserID)
		if errors.Is(err, users.ErrNotFound) { // nobody has no sessions
			err = nil
		}
	}
	return "", err
}

// isOver tells whether the session of a token was ended, with or without all others
// of its user.
func (a *Authority) isOver(r *http.Request, claims drf.Object, t users.Token) (bool, error) {
	gone, err := a.store.SessionEnded(r.Context(), users.FamilyOf(t.ID))
	if err != nil || gone || t.UserID == nil {
		return gone, err
	}
	user, err := a.store.LiveUser(r.Context(), *t.UserID)
	if errors.Is(err, users.ErrNotFound) {
		return false, nil
	}
	return isBefore(claims, &user), err
}
