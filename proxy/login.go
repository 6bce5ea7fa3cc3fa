package proxy

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxReturn bounds the address of the page to come back to, in bytes: behind it
// login pages begin to answer 414.
const maxReturn = 2048

// sendToLogin turns the 401 for a browser that opens a page into the way to the
// login page, where the route names one. The reason stays.
func (g *Gateway) sendToLogin(in *http.Request, d *Decision, refusal *Refusal) *Refusal {
	to := d.Match.LoginURL()
	if to == "" || refusal.Answer.Status != http.StatusUnauthorized || !opensPage(in) {
		return refusal
	}
	answer := refusal.Answer
	answer.Status = http.StatusFound
	answer.Header = http.Header{
		"Location": {loginURL(to, d)},
		"Vary":     {"Accept, Cookie, Sec-Fetch-Mode"},
	}
	return &Refusal{Reason: refusal.Reason, Answer: answer, Cause: refusal.Cause, policy: refusal.policy}
}

// opensPage reports whether a person looks at what comes back. A script that asks
// for data, a form that is sent, and all that is no GET gets the 401: what follows a
// redirect would be another request.
func opensPage(in *http.Request) bool {
	if in.Method != http.MethodGet || len(in.Header["Upgrade"]) > 0 || len(in.Header["Sec-Websocket-Key"]) > 0 {
		return false
	}
	if mode := in.Header["Sec-Fetch-Mode"]; len(mode) > 0 {
		return len(mode) == 1 && mode[0] == "navigate"
	}
	return len(in.Header["X-Requested-With"]) == 0 && acceptsHTML(in.Header["Accept"])
}

// acceptsHTML wants it by name: "*/*" is what programs send.
func acceptsHTML(accept []string) bool {
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(part, ";")
			if kind = strings.ToLower(trim(kind)); kind != "text/html" && kind != "application/xhtml+xml" {
				continue
			}
			for parameter := range strings.SplitSeq(parameters, ";") {
				if name, value, _ := strings.Cut(parameter, "="); strings.EqualFold(trim(name), "q") {
					q, err := strconv.ParseFloat(trim(value), 64)
					return err == nil && q > 0
				}
			}
			return true
		}
	}
	return false
}

// loginURL is the login page with the page to come back to. That is made of what
// was matched and of nothing that the client chose to say about it: a path of this site that begins with one
// slash, with the origin in front where the login page is on another one.
func loginURL(to string, d *Decision) string {
	back := d.Path.Target() // without a token: authorize has taken it out
	if len(back) > maxReturn {
		back = d.Path.Escaped
	}
	if len(back) > maxReturn {
		back = "/"
	}
	if to[0] != '/' {
		back = d.Client.origin() + back
	}
	separator := "?next="
	switch {
	case strings.HasSuffix(to, "="):
		separator = ""
	case strings.HasSuffix(to, "?") || strings.HasSuffix(to, "&"):
		separator = "next="
	case strings.Contains(to, "?"):
		separator = "&next="
	}
	return to + separator + url.QueryEscape(back)
}
