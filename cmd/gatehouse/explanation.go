package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/proxy"
)

// explanation is a decision as people and programs read it.
type explanation struct {
	Request string `json:"request"`
	From    string `json:"from"`

	Route     string   `json:"route,omitempty"`      // its name
	Written   string   `json:"written,omitempty"`    // where the route stands: gatehouse.yaml:12
	Rule      string   `json:"rule,omitempty"`       // its path; empty: the route's own
	RuleAt    string   `json:"rule_at,omitempty"`    // where the rule stands
	Policy    string   `json:"policy,omitempty"`     // who may pass
	User      string   `json:"user,omitempty"`       // who it is; empty: nobody
	UserID    string   `json:"user_id,omitempty"`    //
	Groups    []string `json:"groups,omitempty"`     //
	Decision  string   `json:"decision"`             // upstream, gatehouse, or the reason of the refusal
	Status    int      `json:"status,omitempty"`     // of a refusal
	Detail    string   `json:"detail,omitempty"`     // what a refused client reads
	Location  string   `json:"location,omitempty"`   // where a browser without a token is sent
	Reported  string   `json:"reported,omitempty"`   // why it would be refused without mode: report
	Upstream  string   `json:"upstream,omitempty"`   // its name
	Method    string   `json:"method,omitempty"`     // as forwarded
	URL       string   `json:"url,omitempty"`        // as forwarded, byte for byte
	Host      string   `json:"host,omitempty"`       // as forwarded
	Removed   []string `json:"removed,omitempty"`    // names of headers that are not forwarded as sent
	Added     []string `json:"added,omitempty"`      // headers that the upstream gets besides
	RequestID string   `json:"request_id,omitempty"` //
}

func explanationOf(loaded *config.Loaded, q question, e *proxy.Explanation) explanation {
	d := &e.Decision
	t := explanation{Request: q.method + " " + q.url, From: d.Client.Addr.String(), Decision: e.Outcome(), RequestID: d.RequestID}
	if r := d.Match.Route; r != nil {
		t.Route, t.Written, t.Policy = r.Name, loaded.Where(r.Field()), d.Match.Policy().String()
		if rule := d.Match.Rule; rule != nil {
			t.Rule, t.RuleAt = rule.Path, loaded.Where(rule.Field())
		}
	}
	if p := d.Principal; p != nil {
		t.User, t.UserID, t.Groups = p.User.Username, p.UserID, p.User.Groups
	}
	if e.Refusal != nil {
		t.Status = e.Refusal.Answer.Status
		t.Detail = e.Answer()
		t.Location = e.Refusal.Answer.Header.Get("Location")
	}
	if d.Reported != nil {
		t.Reported = d.Reported.Reason
	}
	if out := e.Outgoing; out != nil {
		t.Upstream, t.Method, t.Host = e.Upstream, out.Method, out.Host
		t.URL = address(loaded, e.Upstream) + e.Target
		for _, line := range e.Removed {
			t.Removed = append(t.Removed, line.Name) // not its value: it may be a secret
		}
		for _, line := range e.Added {
			t.Added = append(t.Added, line.Name+": "+line.Value)
		}
	}
	return t
}

// address is where an upstream is asked: the first of its servers.
func address(loaded *config.Loaded, name string) string {
	for written, up := range loaded.Upstreams {
		if strings.EqualFold(written, name) {
			if up.URL != "" {
				return strings.TrimSuffix(up.URL, "/")
			}
			if len(up.URLs) > 0 {
				return strings.TrimSuffix(up.URLs[0], "/")
			}
		}
	}
	return ""
}

// print is the explanation for people, one fact a line.
func (t explanation) print(w io.Writer) error {
	lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	say := func(what, format string, args ...any) {
		fmt.Fprintf(lines, "%s\t%s\n", what, strings.Map(visible, fmt.Sprintf(format, args...)))
	}
	say("request", "%s from %s", t.Request, t.From)
	if t.Route != "" {
		say("route", "%s (%s)", t.Route, t.Written)
		if t.Rule != "" {
			say("rule", "%s (%s)", t.Rule, t.RuleAt)
		}
		say("policy", "%s", t.Policy)
	}
	switch {
	case t.UserID != "":
		say("user", "%s (id %s), groups %s", t.User, t.UserID, strings.Join(t.Groups, ", "))
	case t.Policy != "":
		say("user", "nobody")
	}
	switch {
	case t.Status != 0 && t.Status < 400:
		say("decision", "answered here: %d %s (%s)", t.Status, http.StatusText(t.Status), t.Decision)
		if t.Location != "" {
			say("location", "%s", t.Location)
		}
	case t.Status != 0:
		say("decision", "refused: %d %s (%s)", t.Status, http.StatusText(t.Status), t.Decision)
		say("answer", "%s", t.Detail)
	case t.Upstream != "":
		say("decision", "forwarded to %s", t.Upstream)
		if t.Reported != "" {
			say("reported", "%s; refused without mode: report", t.Reported)
		}
		say("upstream", "%s %s", t.Method, t.URL)
		say("host", "%s", t.Host)
	default:
		say("decision", "answered by gatehouse itself")
	}
	for _, line := range t.Removed {
		say("removed", "%s", line)
	}
	for _, line := range t.Added {
		say("added", "%s", line)
	}
	return lines.Flush()
}
