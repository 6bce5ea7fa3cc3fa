package audit

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Record is a line of the audit. Empty fields are left out of it.
type Record struct {
	// Stream is "audit", which tells the line from those of the log where both go to stdout.
	Stream string `json:"stream"`
	// EventID is unique, and sorts by time: a UUID of version 7 (RFC 9562, section 5.7).
	EventID string `json:"event_id"`
	// Time is RFC 3339 in UTC, to the microsecond.
	Time string `json:"time"`
	// Event is what was done, such as "login".
	Event string `json:"event"`
	// Outcome is "success", "failure" or "error": refused, or nobody could decide.
	Outcome string `json:"outcome"`
	// Reason is why it was no success, one word.
	Reason string `json:"reason,omitempty"`
	// ActorType is "client", who came by HTTP, "operator", who ran a command, or
	// "system", the program by itself.
	ActorType string `json:"actor_type"`
	// Actor is who that is: the user of a client that was proven, the operating system's
	// user of an operator.
	Actor string `json:"actor,omitempty"`
	// UserID and User are whom it is about, if there is such a user.
	UserID int64  `json:"user_id,omitempty"`
	User   string `json:"user,omitempty"`
	// NameDigest stands for a name that nobody has.
	NameDigest string `json:"name_digest,omitempty"`
	// Session is the one that it is about, as `gatehouse user sessions` names it.
	Session string `json:"session,omitempty"`
	// Address is the client's.
	Address string `json:"address,omitempty"`
	// RequestID is that of the access log.
	RequestID string `json:"request_id,omitempty"`
	// Host is the name of the machine, which tells replicas apart.
	Host string `json:"host,omitempty"`
	// Detail is what else is to be said, by name.
	Detail map[string]any `json:"detail,omitempty"`
}

// Outcomes.
const (
	Success = "success"
	Failure = "failure"
	Error   = "error"
)

// EventLost is the event of a line before which others are missing, because they could not
// be written.
const EventLost = "audit.lost"

// Kinds of actors.
const (
	Client   = "client"
	Operator = "operator"
	System   = "system"
)

// line is the record with what every one has.
func (r Record) line(now time.Time, host string) ([]byte, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	r.Stream, r.EventID, r.Host = "audit", id.String(), host
	r.Time = stamp(now)
	line, err := json.Marshal(r)
	return append(line, '\n'), err
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }
