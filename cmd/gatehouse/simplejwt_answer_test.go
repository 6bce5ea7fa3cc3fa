package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// seen is what of an answer is compared: the status, the headers that a client acts
// upon, and the body with what differs from one login to the next made equal.
type seen struct {
	status int
	header string
	body   string
}

func (s seen) String() string { return fmt.Sprintf("%d %s%s", s.status, s.header, s.body) }

// is tells whether the answer is the one that is wanted, whose body may end in … where
// anything may follow.
func (s seen) is(want seen) bool {
	if begin, open := strings.CutSuffix(want.body, "…"); open && strings.HasPrefix(s.body, begin) {
		s.body = want.body
	}
	return s == want
}

// noted are the headers that are compared.
var noted = []string{"Content-Type", "Www-Authenticate", "Allow", "Location", "Retry-After"}

// see makes an answer comparable. lifetimes are those that tokens of the profile have.
func see(r response, target string, lifetimes []time.Duration) seen {
	s := seen{status: r.status, body: r.body}
	local := strings.HasPrefix(target, "/api/token")
	for _, name := range noted {
		// A view lists its own methods, which no gateway knows.
		if values := r.header.Values(name); len(values) > 0 && (name != "Allow" || local) {
			s.header += name + ": " + strings.Join(values, " | ") + "\n"
		}
	}
	s.body = someToken.ReplaceAllStringFunc(s.body, func(text string) string { return readable(text, r, lifetimes) })
	s.body = description.ReplaceAllString(s.body, "$1…")
	return s
}

var (
	someToken   = regexp.MustCompile(`"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"`)
	description = regexp.MustCompile(`("description": ?")[^"]*`)
	timeClaim   = regexp.MustCompile(`"(exp|iat|refresh_exp)":(\d+)`)
	idClaim     = regexp.MustCompile(`"(jti|id)":"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}"`)
	digestClaim = regexp.MustCompile(`"hash_password":"[0-9A-F]{32}"`)
)

// readable takes a token apart: its header and payload as they are written, with the
// id replaced if it is a UUID, and times that are the moment of the answer, or a
// lifetime behind it, by that.
func readable(quoted string, r response, lifetimes []time.Duration) string {
	parts := strings.Split(strings.Trim(quoted, `"`), ".")
	header, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	payload, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	if err1 != nil || err2 != nil {
		return quoted
	}
	mac := hmac.New(sha256.New, []byte(originalKey))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	signature := "not signed"
	if base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) == parts[2] {
		signature = "signed"
	}
	claims := idClaim.ReplaceAllString(string(payload), `"$1":a UUID`)
	claims = digestClaim.ReplaceAllString(claims, `"hash_password":a digest`)
	claims = timeClaim.ReplaceAllStringFunc(claims, func(claim string) string {
		name, value, _ := strings.Cut(claim, ":")
		seconds, _ := strconv.ParseInt(value, 10, 64)
		// Whole seconds, of which one may have begun meanwhile.
		for _, lifetime := range append([]time.Duration{0}, lifetimes...) {
			if at := time.Unix(seconds, 0).Add(-lifetime); !at.Before(r.asked.Add(-2*time.Second)) && !at.After(r.given.Add(time.Second)) {
				return name + ":now+" + lifetime.String()
			}
		}
		return claim
	})
	return fmt.Sprintf("%s token %s %s", signature, header, claims)
}

// broken tells what is wrong with an answer in itself, or "".
func broken(r response, method string) string {
	length := r.header.Get("Content-Length")
	switch {
	case r.body == brokenHTTP.body:
		return "" // no request, so that nothing of ours has seen it
	case method == http.MethodHead && r.body != "":
		return "a body to HEAD"
	case method != http.MethodHead && length != strconv.Itoa(len(r.body)):
		return fmt.Sprintf("Content-Length %q for %d bytes", length, len(r.body))
	case r.status == http.StatusUnauthorized && len(r.header.Values("Www-Authenticate")) != 1:
		return "a 401 without WWW-Authenticate"
	case slices.Contains([]int{200, 400, 401}, r.status) && r.header.Get("Content-Type") != "application/json":
		return "not JSON"
	}
	return ""
}
