package tokens

import (
	"maps"
	"net/http"
	"slices"
	"strconv"

	"gatehouse/tokens/drf"
)

// codeInvalid is the code of everything that a new token may mend.
const codeInvalid = "token_not_valid"

// Rejection is the refusal of a token. It holds nothing of the token itself, and must
// not be changed.
type Rejection struct {
	Reason string // one of a fixed set of words, for logs
	Detail string // what the client is told
	Code   string // and its code
	Text   string // what is wrong with the token; "" is nothing

	messages  []any  // on the token, one for each type that opens routes
	challenge string // for WWW-Authenticate

	prepared *drf.Answer // nil: made for one token
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
	if r.prepared != nil {
		return *r.prepared
	}
	body := drf.Object{{Name: "detail", Value: r.Detail}, {Name: "code", Value: r.Code}}
	if r.messages != nil {
		body = append(body, drf.Member{Name: "messages", Value: r.messages})
	}
	return drf.Answer{Status: http.StatusUnauthorized, Body: body, Header: http.Header{"Www-Authenticate": {r.challenge}}}
}

// Challenge is the value of WWW-Authenticate (RFC 9110, section 11.6.1) on each 401.
func (v *Verifier) Challenge() string { return v.Scheme() + ` realm="api"` }

// Scheme is the word that is named to clients as the one before a token.
func (v *Verifier) Scheme() string { return v.cfg.HeaderTypes[0] }

// HeaderName is the header that brings a token, in canonical form.
func (v *Verifier) HeaderName() string { return http.CanonicalHeaderKey(v.cfg.HeaderName) }

// TakesScheme tells whether a word may stand before the token.
func (v *Verifier) TakesScheme(word string) bool { return slices.Contains(v.cfg.HeaderTypes, word) }

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

// rejectToken refuses a token for a reason that is the same whatever it is for. Garbage
// is refused with what was made before, so that it costs nothing.
func (v *Verifier) rejectToken(text string) *Rejection {
	if r := v.rejections[text]; r != nil {
		return r
	}
	return v.rejectEach(func(tokenClass) string { return text })
}

// newRejections returns what rejectToken answers.
func (v *Verifier) newRejections() map[string]*Rejection {
	all := make(map[string]*Rejection, len(reasons))
	for text := range reasons {
		r := v.rejectToken(text)
		answer := r.Answer().Prepared()
		r.prepared = &answer
		all[text] = r
	}
	return all
}

// Rejections are those that are the same for many tokens: Verify returns these, and no
// copies.
func (v *Verifier) Rejections() []*Rejection { return slices.Collect(maps.Values(v.rejections)) }

// rejectEach refuses a token; each type that opens routes says why it is none.
func (v *Verifier) rejectEach(text func(tokenClass) string) *Rejection {
	r := &Rejection{Detail: "Given token not valid for any token type", Code: codeInvalid, challenge: v.Challenge()}
	for _, class := range v.classes {
		fault := text(class)
		// Of a token that was revoked, the log says that, and not what else it is not.
		if r.Text == "" || fault == textBlacklisted {
			r.Text, r.Reason = v.cfg.said(fault), reasons[fault]
		}
		r.messages = append(r.messages, drf.Object{
			{Name: "token_class", Value: class.class},
			{Name: "token_type", Value: class.word},
			{Name: "message", Value: v.cfg.said(fault)},
		})
	}
	return r
}

func (v *Verifier) reject(reason, detail, code string) *Rejection {
	return &Rejection{Reason: reason, Detail: detail, Code: code, challenge: v.Challenge()}
}

// said is how a client is told of a fault.
func (c SimpleJWT) said(fault string) string {
	if c.Legacy.Texts && (fault == textInvalid || fault == textExpired) {
		return "Token is invalid or expired"
	}
	return fault
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
