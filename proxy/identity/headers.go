package identity

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Headers strips and sets. It never changes; any number of goroutines may use it.
type Headers struct {
	set      []header
	names    map[string]bool // folded
	families []string        // folded, without the underscore at the end
	first    [256]bool       // folded first bytes of names and families
	longest  int             // bytes of the longest of them
}

// header is one that is set.
type header struct {
	name   string // canonical, as net/http writes it; of a preset as it is spelled
	source source
}

// own never comes from a client: the default headers, so that a backend that still
// reads one after it was renamed is safe, and what gatehouse says about forwarding.
// Proxy is what CGI makes HTTP_PROXY of (CVE-2016-5385). Script-Name and Path-Info are
// what gunicorn believes of a proxy on its own machine about where the path begins:
// with one of them /public/admin is /admin there.
var own = append([]string{
	"X-User-Id", "X-User-Name", "X-User-Email", "X-User-Groups",
	"X-Rewrite-*", "Proxy", "Script-Name", "Path-Info",
}, ofProxies...)

// ofProxies say how a client has come. Some backends believe one of them before
// X-Forwarded-For and X-Forwarded-Proto, which we send.
var ofProxies = []string{
	"X-Forwarded-*", "Forwarded", "X-Real-IP", "X-Original-*",
	"Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "Fastly-Client-IP", "CF-Connecting-*",
	"Front-End-Https", "X-Url-Scheme", "X-Scheme",
}

// OfProxies reports whether a name, in canonical form, is one under which proxies say how
// a client has come, in the spelling in which they do: X-Forwarded-For, and not X_forwarded_for.
func OfProxies(name string) bool {
	if Fold(name) != strings.ToLower(strings.ReplaceAll(name, "-", "_")) || strings.Contains(name, "_") {
		return false
	}
	return slices.ContainsFunc(ofProxies, func(of string) bool {
		family, isFamily := strings.CutSuffix(of, "-*")
		return strings.EqualFold(name, family) || isFamily && len(name) > len(family) && strings.EqualFold(name[:len(family)+1], family+"-")
	})
}

// framing are headers that belong to the request itself. They pass as they are,
// but a spelling such as Content_Length is someone trying.
var framing = map[string]string{
	"content_length": "Content-Length", "content_type": "Content-Type", "transfer_encoding": "Transfer-Encoding",
}

// New compiles the section, and reports all that is wrong with it at once: each a
// *Fault.
func New(cfg Config) (*Headers, error) { return NewWith(cfg, Preset{}) }

// NewWith is New with what a preset adds: its headers, but for those that the
// configuration names too, and what it strips.
func NewWith(cfg Config, preset Preset) (*Headers, error) {
	h := &Headers{names: map[string]bool{}}
	var faults []error
	add := func(at, other, problem, fix string) {
		faults = append(faults, &Fault{At: at, Other: other, Problem: problem, Fix: fix})
	}
	for _, name := range own {
		h.strip(name)
	}
	for folded := range framing {
		h.note(folded)
	}

	sources := cfg.Headers
	if sources == nil {
		sources = defaults
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		at := "headers." + name
		if problem, fix := checkName(name); problem != "" {
			add(at, "", problem, fix)
			continue
		}
		folded := Fold(name)
		if other, taken := seen[folded]; taken {
			add(at, other, fmt.Sprintf("%s and %s are the same header for a backend", textproto.CanonicalMIMEHeaderKey(name), strings.TrimPrefix(other, "headers.")), "take one out")
			continue
		}
		seen[folded] = at
		s, problem, fix := compile(sources[name])
		if problem != "" {
			add(at, "", problem, fix)
			continue
		}
		h.set = append(h.set, header{textproto.CanonicalMIMEHeaderKey(name), s})
		h.strip(name)
	}
	for i, name := range cfg.AlsoStrip {
		if problem, fix := checkFamily(name); problem != "" {
			add(fmt.Sprintf("also_strip[%d]", i), "", problem, fix)
			continue
		}
		h.strip(name)
	}
	for _, name := range slices.Sorted(maps.Keys(preset.Headers)) {
		if _, taken := seen[Fold(name)]; !taken {
			s, _, _ := compile(preset.Headers[name])
			h.set = append(h.set, header{name, s}) // as it is spelled
			h.strip(name)
		}
	}
	for _, name := range preset.Strip {
		h.strip(name)
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	slices.SortFunc(h.set, func(a, b header) int { return cmp.Compare(a.name, b.name) })
	return h, nil
}

// AlsoStrip takes one more name from what clients send. It is for the time of
// configuration, and not safe beside requests.
func (h *Headers) AlsoStrip(name string) { h.strip(name) }

// strip takes note of a name, or of a family with "-*" at its end.
func (h *Headers) strip(name string) {
	family, isFamily := strings.CutSuffix(name, "-*")
	folded := Fold(family)
	if isFamily {
		h.families = append(h.families, folded)
	} else {
		h.names[folded] = true
	}
	h.note(folded)
}

func (h *Headers) note(folded string) {
	h.first[folded[0]] = true
	h.longest = max(h.longest, len(folded))
}

// Names are the headers that Set writes, in the order of the alphabet.
func (h *Headers) Names() []string {
	names := make([]string, len(h.set))
	for i := range h.set {
		names[i] = h.set[i].name
	}
	return names
}

// Sets reports whether Set writes a header that a backend may take for this one.
func (h *Headers) Sets(name string) bool {
	return h.Managed(name) && slices.ContainsFunc(h.set, func(s header) bool { return Fold(s.name) == Fold(name) })
}

// Managed reports whether a client's header or trailer of this name is taken away.
func (h *Headers) Managed(name string) bool {
	if name == "" || !h.first[fold(name[0])] {
		return false
	}
	var room [64]byte
	folded := appendFold(room[:0], name[:min(len(name), h.longest+1)])
	if h.names[string(folded)] {
		return true
	}
	for _, family := range h.families {
		if len(folded) >= len(family) && string(folded[:len(family)]) == family &&
			(len(folded) == len(family) || folded[len(family)] == '_') {
			return true
		}
	}
	usual, ok := framing[string(folded)]
	return ok && !strings.EqualFold(name, usual)
}

// Strip removes from what a client sent every header that Managed names. The keys need
// not be in canonical form. nil is fine, so a request's trailers can be given as they are.
func (h *Headers) Strip(hdr http.Header) {
	for name := range hdr {
		if h.Managed(name) {
			delete(hdr, name)
		}
	}
}

// OfAccount reports whether Set writes nothing that depends on claims.
func (h *Headers) OfAccount() bool {
	return !slices.ContainsFunc(h.set, func(s header) bool { return len(s.source.claim) > 0 })
}

// Person is the user as far as headers can tell. The zero Person is nobody.
type Person struct {
	UserID   string // never empty for a user
	Username string
	Email    string
	Groups   []string
	// Claims finds a claim of the token by its steps. nil is no claims.
	Claims func(path []string) (any, bool)
}

// MaxValue is the longest value that is sent, in bytes after escaping: what the
// usual backends take in one header line.
const MaxValue = 7 << 10

// TooLong is an identity that does not fit into a header. It is not cut off, because
// what is left might be someone else. A 431.
type TooLong struct {
	Header string
	Bytes  int // after escaping
}

func (e *TooLong) Error() string {
	return fmt.Sprintf("identity header %s would have %d bytes, more than %d", e.Header, e.Bytes, MaxValue)
}

// Set writes the headers of a user into an outgoing request whose client headers
// went through Strip. Each is there exactly once or not at all; for the zero Person, or one
// without UserID, not at all. An error is a *TooLong, and none is written then.
func (h *Headers) Set(out http.Header, p Person) error {
	for i := range h.set {
		delete(out, h.set[i].name)
	}
	lines, err := h.Lines(p)
	for i := range lines {
		out[lines[i].Name] = lines[i].Values
	}
	return err
}

// Line is a header as it is sent.
type Line struct {
	Name   string
	Values []string // one, and no room for another
}

// Lines are headers, each name once. They must not be changed.
type Lines []Line

// Get returns the value of a header in its own spelling, or "".
func (l Lines) Get(name string) string {
	for i := range l {
		if l[i].Name == name {
			return l[i].Values[0]
		}
	}
	return ""
}

// Lines are the headers that Set writes.
func (h *Headers) Lines(p Person) (Lines, error) {
	if p.UserID == "" {
		return nil, nil
	}
	lines := make(Lines, 0, len(h.set))
	values := make([]string, len(h.set))
	for i := range h.set {
		name := h.set[i].name
		value, ok := h.set[i].source.value(p)
		if !ok {
			continue
		}
		if len(value) > MaxValue {
			return nil, &TooLong{name, len(value)}
		}
		values[i] = value
		lines = append(lines, Line{name, values[i : i+1 : i+1]})
	}
	return lines, nil
}
