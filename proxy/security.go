package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"gatehouse/proxy/route"
)

// security are headers that every answer of a route carries, ours and a backend's.
type security struct {
	headers  []securityHeader
	override bool
}

type securityHeader struct {
	name   string // canonical
	values []string
	secure bool // for clients of https alone
}

// securityKeys are the keys of the section, with the header of each.
var securityKeys = []struct {
	key, name, basic string
	value            func(*route.SecurityHeaders) *string
}{
	{"hsts", "Strict-Transport-Security", "max-age=31536000", func(s *route.SecurityHeaders) *string { return &s.HSTS }},
	{"content_type_options", "X-Content-Type-Options", "nosniff", func(s *route.SecurityHeaders) *string { return &s.ContentTypeOptions }},
	{"frame_options", "X-Frame-Options", "SAMEORIGIN", func(s *route.SecurityHeaders) *string { return &s.FrameOptions }},
	{"referrer_policy", "Referrer-Policy", "strict-origin-when-cross-origin", func(s *route.SecurityHeaders) *string { return &s.ReferrerPolicy }},
	{"content_security_policy", "Content-Security-Policy", "", func(s *route.SecurityHeaders) *string { return &s.ContentSecurityPolicy }},
	{"permissions_policy", "Permissions-Policy", "", func(s *route.SecurityHeaders) *string { return &s.PermissionsPolicy }},
}

// securityFaults are those of one section.
func securityFaults(at string, said route.SecurityHeaders) []error {
	var faults []error
	if !slices.Contains([]string{"", "off", "basic"}, said.Preset) {
		faults = append(faults, &Fault{At: at + ".preset", Problem: fmt.Sprintf("%q is no preset", said.Preset), Fix: "write off or basic"})
	}
	for _, key := range securityKeys {
		for _, c := range []byte(*key.value(&said)) {
			if c < ' ' || c > '~' {
				faults = append(faults, &Fault{At: at + "." + key.key, Problem: "has a character that no header may have", Fix: "write plain ASCII in one line"})
				break
			}
		}
	}
	return faults
}

// newSecurity lays what a route says over what the server says; nil: nothing is sent.
func newSecurity(server, of route.SecurityHeaders) *security {
	s := &security{}
	if override := cmp.Or(of.Override, server.Override); override != nil {
		s.override = *override
	}
	// A route with a preset of its own begins anew.
	if of.Preset != "" {
		server = route.SecurityHeaders{Preset: of.Preset}
	}
	for _, key := range securityKeys {
		value := cmp.Or(*key.value(&of), *key.value(&server))
		if value == "" && server.Preset == "basic" {
			value = key.basic
		}
		if value != "" && value != "off" {
			s.headers = append(s.headers, securityHeader{key.name, []string{value}, key.key == "hsts"})
		}
	}
	if len(s.headers) == 0 {
		return nil
	}
	return s
}

// securityOf are the headers of all routes; under nil those of everything else.
func securityOf(cfg Config, table *route.Table) map[*route.Route]*security {
	all := map[*route.Route]*security{}
	add := func(r *route.Route, said route.SecurityHeaders) {
		if s := newSecurity(cfg.Server.SecurityHeaders, said); s != nil {
			all[r] = s
		}
	}
	add(nil, route.SecurityHeaders{})
	for match := range table.Matches() {
		add(match.Route, cfg.Routes[match.Route.Index].SecurityHeaders)
	}
	return all
}

// set adds the headers to an answer that is about to be sent.
func (s *security) set(answer http.Header, secure bool) {
	for i := range s.headers {
		h := &s.headers[i]
		if h.secure && !secure || len(answer[h.name]) > 0 && !s.override {
			continue
		}
		answer[h.name] = h.values[:1:1]
	}
}
