package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens"
	"gatehouse/tokens/drf"
)

// Refusal is why a request was not forwarded, or came back without an answer.
type Refusal struct {
	Reason string     // a word of a fixed set, for logs and metrics
	Answer drf.Answer // what the client reads; nothing about the inside
	Cause  error      // for the log; nil where the reason says it all

	// policy: it is the route's auth that refuses, and not the request that is malformed.
	policy bool
	whole  *whole // Answer as it is sent to nearly everybody; nil: it is made each time
}

// statusClientGone is what the log shows when nobody was left to read an answer.
const statusClientGone = 499

// The refusals that are the same every time. Those for a bad path, a bad token and
// a failed upstream are made below, those that carry the challenge in newChallenges.
var (
	refuseConnect = refusal(http.StatusMethodNotAllowed, "connect", `Method "CONNECT" not allowed.`).with(http.Header{
		"Allow": {"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		// What follows on the connection is meant for a tunnel.
		"Connection": {"close"},
	})
	refuseTarget         = refusal(http.StatusBadRequest, "bad_target", "Malformed request: the target is not a path.")
	refuseHost           = refusal(http.StatusBadRequest, "bad_host", "Malformed request: the host is missing or not valid.")
	refuseTwoCredentials = refusal(http.StatusBadRequest, "two_credentials", "Malformed request: more than one header with credentials.")
	refuseUpgrade        = refusal(http.StatusBadRequest, "bad_upgrade", "Malformed request: the Upgrade header is not valid.")
	refuseURI            = refusal(http.StatusRequestURITooLong, "uri_too_long", "The target of the request is too long.")
	refuseHead           = refusal(http.StatusRequestHeaderFieldsTooLarge, "head_too_large", "The headers of the request are too large.")
	refuseMethod         = refusal(http.StatusBadRequest, "bad_method", "Malformed request: the method is not written in capitals.")
	refuseNoMethod       = refusal(http.StatusBadRequest, "bad_method", "Malformed request: the method has other characters than letters, digits, - and _.")
	refuseOverride       = refusal(http.StatusBadRequest, "method_override", "Malformed request: a header asks for another method, for which another policy holds.")
	refuseNoRoute        = refusal(http.StatusNotFound, "no_route", "Not found.")
	refuseDenied         = refusal(http.StatusForbidden, "denied", permissionDetail).byPolicy()
	refuseForbidden      = refusal(http.StatusForbidden, "forbidden", permissionDetail).byPolicy()
	refuseClaim          = refusal(http.StatusForbidden, "claim", permissionDetail).byPolicy()
	refuseCrossOrigin    = refusal(http.StatusForbidden, "cross_origin", "CSRF Failed: the request is not from a page of this site.").byPolicy()
	refuseTwoTokens      = refusal(http.StatusBadRequest, "two_credentials", "Malformed request: more than one token.").byPolicy()
	refuseQuery          = refusal(http.StatusBadRequest, "bad_query", "Malformed request: a token behind a semicolon.")
	refuseSlowBody       = refusal(http.StatusRequestTimeout, "body_too_slow", "The body of the request did not arrive in time.")
	refuseBrokenBody     = refusal(http.StatusBadRequest, "broken_body", "Malformed request: the body is malformed or incomplete.")
	refuseBody           = refusal(http.StatusRequestEntityTooLarge, "body_too_large", "The body of the request is too large.")
)

const permissionDetail = "You do not have permission to perform this action."

func refusal(status int, reason, detail string) *Refusal {
	return &Refusal{Reason: reason, Answer: drf.Detail(status, detail).Prepared()}
}

func (r *Refusal) with(header http.Header) *Refusal {
	r.Answer.Header = header
	return r
}

func (r *Refusal) byPolicy() *Refusal {
	r.policy = true
	return r
}

// challenges are the refusals that tell the client how to authenticate.
type challenges struct {
	challenge       string
	refuseAnonymous *Refusal
	refuseTwoValues *Refusal
	rejected        map[*tokens.Rejection]*Refusal // of tokens, those that are always the same
}

func newChallenges(v *tokens.Verifier) challenges {
	challenge := v.Challenge()
	const twoValues = "Authorization header must contain two space-delimited values"
	header := http.Header{"Www-Authenticate": {challenge}}
	c := challenges{
		rejected:        map[*tokens.Rejection]*Refusal{},
		challenge:       challenge,
		refuseAnonymous: refusal(http.StatusUnauthorized, "anonymous", "Authentication credentials were not provided.").with(header).byPolicy(),
		refuseTwoValues: (&Refusal{
			Reason: "bad_authorization_header",
			Answer: drf.Coded(http.StatusUnauthorized, twoValues, "bad_authorization_header").Prepared(),
		}).with(header).byPolicy(),
	}
	c.refuseAnonymous.whole = newWhole(c.refuseAnonymous.Answer)
	for _, rejection := range v.Rejections() {
		r := &Refusal{Reason: rejection.Reason, Answer: rejection.Answer(), policy: true}
		r.whole = newWhole(r.Answer)
		c.rejected[rejection] = r
	}
	return c
}

// refuseToken is for a token that is good for nobody.
func (c challenges) refuseToken(rejection *tokens.Rejection) *Refusal {
	if r := c.rejected[rejection]; r != nil {
		return r
	}
	return &Refusal{Reason: rejection.Reason, Answer: rejection.Answer(), policy: true}
}

// refuseScope tells which scope would do (RFC 6750, section 3.1), so that a client
// can ask for another token.
func (c challenges) refuseScope(alternatives [][]string) *Refusal {
	r := refusal(http.StatusForbidden, "scope", permissionDetail).byPolicy()
	if len(alternatives) > 0 {
		r = r.with(http.Header{"Www-Authenticate": {
			c.challenge + `, error="insufficient_scope", scope="` + strings.Join(alternatives[0], " ") + `"`,
		}})
	}
	return r
}

// refuseUnmatched is for what has no place in the route table. It says what is
// wrong in words of ours, that hold nothing of what was sent.
func refuseUnmatched(err error) *Refusal {
	if errors.Is(err, route.ErrNoRoute) {
		return refuseNoRoute
	}
	if path, ok := errors.AsType[*route.BadPath](err); ok {
		return refusal(http.StatusBadRequest, "bad_path", "Malformed request: "+path.Reason+".")
	}
	if host, ok := errors.AsType[*route.BadHost](err); ok {
		return refusal(http.StatusBadRequest, "bad_host", "Malformed request: "+host.Reason+".")
	}
	if _, ok := errors.AsType[*route.BadMethod](err); ok {
		return refuseMethod
	}
	return refuseTarget
}

// refuseIdentity is for a user whose headers would not fit. Cut off they might be
// somebody else's.
func refuseIdentity(err error) *Refusal {
	r := refusal(http.StatusRequestHeaderFieldsTooLarge, "identity_too_long", "The identity of the user does not fit into a header.")
	r.Cause = err
	return r
}

// refuseUndecided is for a token that could be neither accepted nor rejected.
func refuseUndecided(err error) *Refusal {
	if errors.Is(err, context.Canceled) {
		return &Refusal{Reason: "client_gone", Answer: drf.Answer{Status: statusClientGone}, Cause: err}
	}
	r := refusal(http.StatusServiceUnavailable, "undecided", "Authentication is temporarily unavailable.").
		with(http.Header{"Retry-After": {"5"}}).byPolicy()
	r.Cause = err
	return r
}

// failures are what a client reads when an upstream did not answer. %s is its name.
var failures = map[upstream.Failure]string{
	upstream.ConnectTimeout:   "Upstream %s could not be connected to in time (connect timeout).",
	upstream.FirstByteTimeout: "Upstream %s did not answer in time (first_byte timeout).",
	upstream.Refused:          "Upstream %s refused the connection.",
	upstream.Unreachable:      "Upstream %s cannot be reached.",
	upstream.NameUnknown:      "Upstream %s cannot be found.",
	upstream.TLSFailed:        "Upstream %s could not be spoken to securely.",
	upstream.Closed:           "Upstream %s closed the connection before it answered.",
	upstream.Malformed:        "Upstream %s sent an answer that is not valid HTTP.",
	upstream.HeadTooLarge:     "Upstream %s sent an answer with too large headers.",
	upstream.Switched:         "Upstream %s switched the protocol unasked.",
	upstream.NoneHealthy:      "Upstream %s is not available.",
	upstream.Full:             "Upstream %s has too many requests at once.",
	upstream.Broken:           "Upstream %s could not be asked.",
}

// refuseFailed is for a request that was forwarded and got no answer.
func refuseFailed(name string, failure upstream.Failure, err error) *Refusal {
	if failure == upstream.ClientGone {
		return &Refusal{Reason: "client_gone", Answer: drf.Answer{Status: statusClientGone}, Cause: err}
	}
	status := http.StatusBadGateway
	switch {
	case failure.Timeout():
		status = http.StatusGatewayTimeout
	case failure.Unavailable():
		status = http.StatusServiceUnavailable
	}
	r := refusal(status, "upstream_"+string(failure), fmt.Sprintf(failures[failure], name))
	if failure.Unavailable() {
		r = r.with(http.Header{"Retry-After": {"5"}})
	}
	r.Cause = err
	return r
}
