// Package cors knows what scripts of other origins may do (the CORS protocol of the
// Fetch standard). It decides and writes headers; it answers nothing, and knows no
// routes. So the answer to a preflight is a decision like any other, which can be
// explained and logged, and the headers of an answer can be set after an upstream has
// sent its own.
package cors

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// None is what a rule writes in place of the name of a set.
const None = "none"

// Set is one entry of `cors`. It never changes; any number of goroutines may use it.
type Set struct {
	any         bool
	origins     map[string]bool
	wild        [][2]string // what stands before and behind the "*"
	methods     []string
	headers     map[string]bool // in lower case
	anyHeader   bool
	credentials bool
	age         time.Duration

	methodList, headerList, exposed string
}

// Preflight reports whether a browser asks whether it may send a request, and with
// which method: OPTIONS with one Origin and one Access-Control-Request-Method. Any
// other OPTIONS is a request of its own.
func Preflight(in *http.Request) (method string, ok bool) {
	if in.Method != http.MethodOptions || len(in.Header["Origin"]) != 1 {
		return "", false
	}
	wanted := in.Header["Access-Control-Request-Method"]
	if len(wanted) != 1 || !isToken(wanted[0]) {
		return "", false
	}
	return wanted[0], true
}

// Refused is what stands against a preflight.
type Refused string

// What a preflight may be refused for; Allowed is nothing.
const (
	Allowed Refused = ""
	Origin  Refused = "origin"
	Method  Refused = "method"
	Header  Refused = "header"
)

// Answer decides a preflight, and writes what a browser wants to know into out.
// Where it is refused, Apply has written all that there is.
func (s *Set) Answer(out http.Header, in *http.Request) Refused {
	s.Apply(out, in.Header)
	// All three, whatever the answer: another one gets another.
	vary(out, "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
	method, _ := Preflight(in)
	switch {
	case !s.Allows(in.Header["Origin"]):
		return Origin
	case !slices.Contains(s.methods, method):
		return Method
	}
	wanted := in.Header["Access-Control-Request-Headers"]
	for _, line := range wanted {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.Trim(name, " \t"))
			if name != "" && !s.headers[name] && (!s.anyHeader || !isToken(name)) {
				return Header
			}
		}
	}
	delete(out, "Access-Control-Expose-Headers")
	out.Set("Access-Control-Allow-Methods", s.methodList)
	switch {
	case s.anyHeader && len(wanted) > 0:
		// Not "*", of which the standard excepts Authorization.
		out.Set("Access-Control-Allow-Headers", strings.ToLower(strings.Join(wanted, ", ")))
	case s.headerList != "":
		out.Set("Access-Control-Allow-Headers", s.headerList)
	}
	if s.age > 0 {
		out.Set("Access-Control-Max-Age", strconv.Itoa(int(s.age/time.Second)))
	}
	return Allowed
}

// Allows reports whether scripts of an origin may ask; origin is the header as it
// was sent.
func (s *Set) Allows(origin []string) bool {
	if len(origin) != 1 {
		return false
	}
	if s.any || s.origins[origin[0]] {
		return true
	}
	return slices.ContainsFunc(s.wild, func(w [2]string) bool {
		labels, ok := strings.CutPrefix(origin[0], w[0])
		if !ok {
			return false
		}
		labels, ok = strings.CutSuffix(labels, w[1])
		return ok && isLabels(labels)
	})
}

// Vouches reports whether a request of an origin is as good as one of the same
// origin: where its scripts may act with the user's cookies.
func (s *Set) Vouches(origin []string) bool { return s.credentials && s.Allows(origin) }

// Apply puts the headers for an answer to a request with the headers `in` into out,
// in place of all that an upstream has said about CORS.
func (s *Set) Apply(out, in http.Header) {
	for name := range out {
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			delete(out, name)
		}
	}
	if !s.any {
		vary(out, "Origin")
	}
	if !s.Allows(in["Origin"]) {
		return
	}
	if s.any {
		out.Set("Access-Control-Allow-Origin", "*")
	} else {
		out.Set("Access-Control-Allow-Origin", in["Origin"][0])
	}
	if s.credentials {
		out.Set("Access-Control-Allow-Credentials", "true")
	}
	if s.exposed != "" {
		out.Set("Access-Control-Expose-Headers", s.exposed)
	}
}

const prefix = "Access-Control-"

// isLabels: one or more labels of a host name in lower case.
func isLabels(s string) bool {
	before := byte('.')
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.' && before != '.':
		default:
			return false
		}
		before = c
	}
	return s != "" && before != '.'
}

// vary adds names to Vary that are not in it.
func vary(out http.Header, names ...string) {
	var there []string
	for _, line := range out["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.Trim(name, " \t"); name != "" {
				there = append(there, name)
			}
		}
	}
	has := func(name string) bool {
		return slices.ContainsFunc(there, func(t string) bool { return t == "*" || strings.EqualFold(t, name) })
	}
	missing := slices.DeleteFunc(slices.Clone(names), has)
	if len(missing) > 0 {
		out["Vary"] = []string{strings.Join(append(there, missing...), ", ")}
	}
}
