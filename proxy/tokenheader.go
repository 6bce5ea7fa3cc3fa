package proxy

import (
	"fmt"
	"net/http"
	"strings"

	"gatehouse/proxy/identity"
	"gatehouse/tokens"
)

const authorization = "Authorization"

// tokenHeader is the header that brings a token.
type tokenHeader struct {
	name   string // canonical
	folded string // as backends may read it; "": it is Authorization
	scheme string // the word before a token that is put into it
}

func newTokenHeader(v *tokens.Verifier) tokenHeader {
	t := tokenHeader{name: v.HeaderName(), scheme: v.Scheme()}
	if t.name != authorization {
		t.folded = identity.Fold(t.name)
	}
	return t
}

// twice tells whether credentials came in more than one line: one parser takes the
// first and another the last.
func (t tokenHeader) twice(header http.Header) bool {
	return len(header[authorization]) > 1 || len(header[t.name]) > 1
}

// withhold takes the token out of what is forwarded. Where it is handed on, its header
// is there in one spelling: a backend might take another for the same, with another
// token in it, that nobody has looked at.
func (t tokenHeader) withhold(header http.Header, handOn bool) {
	if !handOn {
		delete(header, authorization)
	}
	if t.folded == "" {
		return
	}
	for name := range header {
		if handOn && name == t.name {
			continue
		}
		if len(name) == len(t.folded) && identity.Fold(name) == t.folded {
			delete(header, name)
		}
	}
}

// fault is there if one header were to bring the token and name the user.
func (t tokenHeader) fault(h *identity.Headers) error {
	if h == nil {
		return nil
	}
	for _, name := range h.Names() {
		if strings.EqualFold(name, t.name) {
			return &Fault{At: "tokens.header_name", Problem: fmt.Sprintf("identity.headers.%s is sent to every upstream under this name", name), Fix: "write another name in one of the two"}
		}
	}
	return nil
}
