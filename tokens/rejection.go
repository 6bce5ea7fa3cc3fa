package tokens

import (
	"net/http"
	"strconv"

	"gatehouse/tokens/drf"
)

// codeInvalid is the code of everything that a new token may mend.
const codeInvalid = "token_not_valid"

// challenge is the WWW-Authenticate header (RFC 9110, section 11.6.1) of each 401.
const challenge = `Bearer realm="api"`

// Rejection is the refusal of a token. It holds nothing of the token itself.
type Rejection struct {
	Reason string // one of a fixed set of words, for logs
	Detail string // what the client is told
	Code   string // and its code
	Text   string // the one message on the token; "" sends no messages
}

// Error returns what the client is told.
func (r *Rejection) Error() string {
	if r.Text != "" {
		return r.Text
	}
	return r.Detail
}

// Answer is the 401 of a protected view.
func (r *Rejection) Answer() drf.Answer {
	body := drf.Object{{Name: "detail", Value: r.Detail}, {Name: "code", Value: r.Code}}
	if r.Text != "" {
		body = append(body, drf.Member{Name: "messages", Value: []any{drf.Object{
			{Name: "token_class", Value: "AccessToken"},
			{Name: "token_type", Value: typeAccess},
			{Name: "message", Value: r.Text},
		}}})
	}
	return drf.Answer{Status: http.StatusUnauthorized, Body: body, Header: http.Header{"Www-Authenticate": {challenge}}}
}

// Challenge is the value of WWW-Authenticate on each 401.
func (v *Verifier) Challenge() string { return challenge }

// reasons are the words for logs of each text.
var reasons = map[string]string{
	textInvalid:     "token_invalid",
	textExpired:     "token_expired",
	textBlacklisted: "token_blacklisted",
	textNoExpiry:    "token_no_exp",
	textNoID:        "token_no_id",
	textNoType:      "token_no_type",
	textWrongType:   "token_wrong_type",
}

func (v *Verifier) rejectToken(text string) *Rejection {
	return &Rejection{Reason: reasons[text], Detail: "Given token not valid for any token type", Code: codeInvalid, Text: text}
}

func (v *Verifier) reject(reason, detail, code string) *Rejection {
	return &Rejection{Reason: reason, Detail: detail, Code: code}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
