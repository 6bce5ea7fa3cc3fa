package tokens

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/users"
	"gatehouse/users/password"
)

// Event is something that was asked of an endpoint and may have changed who is logged
// in, or that happened to the keys. It holds no password and no token.
type Event struct {
	Name    EventName
	Outcome Outcome
	Reason  string // why it is no success, a word of a fixed set

	UserID     int64  // whom it is about; 0: nobody who is known
	User       string // and their name
	NameDigest string // of a name that nobody has, see [users.Store.NameDigest]
	Session    string // as [users.Session] has it
	Address    string // of the client
	RequestID  string
	Detail     map[string]any // what else is to be said; may be nil

	// revoke takes back what was handed out.
	revoke func(context.Context) error
}

// EventName is what happened.
type EventName string

// The events of this room.
const (
	EventLogin     EventName = "login"
	EventRefresh   EventName = "token.refresh"
	EventReuse     EventName = "token.reuse" // a refresh token that was exchanged before
	EventBlacklist EventName = "token.blacklist"
	EventLogout    EventName = "logout"
	EventKeySigns  EventName = "key.signs"
)

// Events are all of them.
func Events() []EventName {
	return []EventName{EventLogin, EventRefresh, EventReuse, EventBlacklist, EventLogout, EventKeySigns}
}

// Outcome is how it ended.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess Outcome = "success"
	OutcomeFailure Outcome = "failure" // it was refused
	OutcomeError   Outcome = "error"   // nobody could decide
)

// Reasons that are not those of a token or of a login.
const (
	reasonThrottled   = "throttled"
	reasonNoAddress   = "no_address_of_their_own"
	reasonInactive    = "user_inactive"
	reasonPassword    = "password_changed"
	reasonMalformed   = "malformed"
	reasonBusy        = "busy"
	reasonReused      = "token_reused"
	reasonUnavailable = "unavailable"
)

// Reasons are all that an [Event] may have, but for "".
func Reasons() []string {
	all := []string{
		reasonThrottled, reasonNoAddress, reasonInactive, reasonPassword, reasonMalformed, reasonBusy, reasonUnavailable, reasonReused,
		string(users.DeniedUnknownUser), string(users.DeniedWrongPassword), string(users.DeniedDisabled), string(users.DeniedChanged),
	}
	for _, reason := range reasons {
		all = append(all, reason)
	}
	return all
}

// noted has what an endpoint does told to Parts.Audit.
func (a *Authority) noted(name EventName, post func(*http.Request, drf.Input, *Event) drf.Answer) func(*http.Request, drf.Input) drf.Answer {
	return func(r *http.Request, in drf.Input) drf.Answer {
		if a.ready != nil && (name == EventLogin || name == EventRefresh) {
			if err := a.ready(); err != nil {
				return a.undecided(r, err)
			}
		}
		e := &Event{Name: name, Address: client(r).Address, RequestID: requestID(r)}
		answer := post(r, in, e)
		e.end(answer)
		answer.Reason = e.Reason
		if a.audit == nil {
			return answer
		}
		// Who has gone away has done it all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), noteTime)
		defer cancel()
		err := a.audit(ctx, *e)
		if err == nil {
			return answer
		}
		if e.revoke != nil && e.Outcome == OutcomeSuccess {
			if err := e.revoke(ctx); err != nil {
				a.logger.ErrorContext(ctx, "a session that nobody was told of could not be ended", slog.Any("error", err))
			}
		}
		return a.undecided(r, err)
	}
}

// noteTime bounds what is done for the audit after the client may have gone away.
const noteTime = 5 * time.Second

// end says how it ended, as far as nobody has.
func (e *Event) end(answer drf.Answer) {
	if e.Outcome != "" {
		return
	}
	switch status := answer.Status; {
	case status == http.StatusOK:
		e.Outcome = OutcomeSuccess
	case status >= http.StatusInternalServerError:
		e.Outcome = OutcomeError
		if e.Reason == "" {
			e.Reason = reasonUnavailable
		}
	case status == http.StatusTooManyRequests:
		e.Outcome, e.Reason = OutcomeFailure, reasonThrottled
	case status == http.StatusBadRequest && e.Reason == "":
		e.Outcome, e.Reason = OutcomeFailure, reasonMalformed
	default:
		e.Outcome = OutcomeFailure
	}
}

// of notes whom it is about.
func (e *Event) of(user users.User) { e.UserID, e.User = user.ID, user.Username }

// fault notes what is wrong with a token.
func (e *Event) fault(text string) { e.Reason = reasonOf(text) }

// reasonOf is the word for what is wrong with a token.
func reasonOf(text string) string { return cmp.Or(reasons[text], "token_invalid") }

// detail notes what else is to be said.
func (e *Event) detail(name string, value any) {
	if e.Detail == nil {
		e.Detail = map[string]any{}
	}
	e.Detail[name] = value
}

// denied notes why a login was refused. What was typed as a name that nobody has may be
// a password in the wrong field.
func (a *Authority) denied(ctx context.Context, e *Event, name string, denial users.Denial) {
	e.Reason = string(denial.Reason)
	if denial.User.ID != 0 {
		e.of(denial.User)
		return
	}
	if a.audit == nil {
		return
	}
	if digest, err := a.store.NameDigest(ctx, name); err == nil {
		e.NameDigest = digest
	}
}

// deniedUnseen is denied for a login that was throttled, and so not looked at. It asks
// the store the same for a name that somebody has and one that nobody has.
func (a *Authority) deniedUnseen(ctx context.Context, e *Event, name string, budget users.Budget) {
	e.detail("budget", string(budget))
	if a.audit == nil {
		return
	}
	denial := users.Denial{Reason: reasonThrottled}
	if user, err := a.store.AccountBy(ctx, users.Column(a.login.FindBy), name); err == nil {
		denial.User = user
	}
	a.denied(ctx, e, name, denial)
}

// undecidedFor is undecided, which it notes.
func (a *Authority) undecidedFor(r *http.Request, e *Event, err error) drf.Answer {
	e.Reason = reasonUnavailable
	if errors.Is(err, password.ErrBusy) {
		e.Reason = reasonBusy
	}
	return a.undecided(r, err)
}

// about notes whose token it is, and of which session.
func (a *Authority) about(ctx context.Context, e *Event, t users.Token) {
	e.Session = users.FamilyOf(t.ID).String()
	if a.audit == nil || t.UserID == nil {
		return
	}
	e.UserID = *t.UserID
	if user, err := a.store.LiveUser(ctx, *t.UserID); err == nil {
		e.of(user)
	}
}

// tellOfKey notes that another key of the key directory signs, which each gateway
// notices by itself.
func (a *Authority) tellOfKey(now, before string) {
	if a.audit == nil {
		return
	}
	e := Event{Name: EventKeySigns, Outcome: OutcomeSuccess, Detail: map[string]any{"kid": now, "before": before}}
	// Who cannot write it says so; the keys go on.
	_ = a.audit(context.Background(), e)
}
