package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Route is one compiled entry of `routes`. Nobody changes it.
type Route struct {
	Name     string
	Index    int      // in `routes`
	Hosts    []string // canonical; none is any host
	Path     string   // as it would be written
	To       string   // name of the upstream, in lower case
	Policy   Policy
	LoginURL string // where browsers without a valid token are sent; "" is nowhere
	CORS     string // name of a set, in lower case; "" is none
	Timeouts Timeouts
	Rules    []*Rule

	aim         *Aim
	keepSlashes bool
	limit       *Limit
	stream      Stream
}

// Field is the key path of the route in the file.
func (r *Route) Field() string { return fmt.Sprintf("routes[%d]", r.Index) }

// Rule is one compiled exception below a Route. Nobody changes it.
type Rule struct {
	Route   *Route
	Index   int      // in the route's `rules`
	Path    string   // as it would be written
	Methods []string // in capitals; none is all
	Policy  Policy
	// LoginURL and CORS are as on a Route.
	LoginURL string
	CORS     string
	// Timeouts are the route's where the rule says none.
	Timeouts Timeouts

	aim         *Aim
	keepSlashes bool
	limit       *Limit
	stream      Stream
}

// Field is the key path of the rule in the file.
func (r *Rule) Field() string { return fmt.Sprintf("%s.rules[%d]", r.Route.Field(), r.Index) }

// Options is what the rest of the configuration says about paths and names.
type Options struct {
	// Upstreams are the names that `to` may name; letter case does not matter.
	Upstreams []string
	// CORS are the names that `cors` may name, in lower case.
	CORS []string
	// BasePath is gatehouse's own subtree on every host ("/api/token"), Reserved are
	// further paths of its own. No route reaches them. Both may be empty.
	BasePath string
	Reserved []string
}

// Table finds the route of a request. It never changes; any number of goroutines
// may use it.
type Table struct {
	exact map[string]*site // by host
	wild  map[string]*site // by what follows "*."
	any   *site
	own   []pattern // what gatehouse answers itself
	rows  []Row

	longest int // of all sites
}

// site is all that is known about one host (or wildcard, or any host).
type site struct {
	nodes   map[string]*node // by base path, in lower case
	longest int              // bytes of the longest key
}

// node holds the patterns of one base path: one spelling, unless two of them differ
// in letter case only.
type node struct{ spellings []*spelling }

type spelling struct {
	base       string
	path, tree methods
}

// methods finds the target for a method; "" is the target for all others.
type methods map[string]*target

// target is what a pattern leads to.
type target struct {
	match   Match
	pattern pattern
}

func (m methods) pick(method string) *target {
	if t := m[method]; t != nil {
		return t
	}
	return m[""]
}

// New compiles the routes, and reports all that is wrong with them at once: each a
// *Fault.
func New(routes []Config, opts Options) (*Table, error) {
	b := builder{
		table: Table{exact: map[string]*site{}, wild: map[string]*site{}, any: newSite()},
		named: map[string]int{},
		told:  map[[2]string]bool{},
	}
	for _, name := range opts.Upstreams {
		b.upstreams = append(b.upstreams, strings.ToLower(name))
	}
	slices.Sort(b.upstreams)
	b.cors = opts.CORS
	if base := strings.TrimSuffix(opts.BasePath, "/"); base != "" {
		b.table.own = append(b.table.own, pattern{base, true})
	}
	for _, path := range opts.Reserved {
		b.table.own = append(b.table.own, pattern{strings.TrimSuffix(path, "/"), false})
	}
	for i := range routes {
		b.route(i, &routes[i])
	}
	if err := b.faults.join(); err != nil {
		return nil, err
	}
	for s := range b.table.sites() {
		s.finish()
		b.table.longest = max(b.table.longest, s.longest)
	}
	b.table.checkLogins(&b.faults)
	if err := b.faults.join(); err != nil {
		return nil, err
	}
	slices.SortFunc(b.table.rows, compareRows)
	return &b.table, nil
}

// builder is the state of New.
type builder struct {
	table     Table
	upstreams []string
	cors      []string
	named     map[string]int
	told      map[[2]string]bool // clashes that were reported, by their two key paths
	faults    faults
}

func (b *builder) route(i int, cfg *Config) {
	r := &Route{Index: i, To: strings.ToLower(cfg.To)}
	at := r.Field()
	r.Name = cmp.Or(cfg.Name, at)
	if first, taken := b.named[r.Name]; taken {
		b.faults.clash(at+".name", fmt.Sprintf("routes[%d].name", first), fmt.Sprintf("two routes are called %q", r.Name), "give one another name")
	}
	b.named[r.Name] = i

	hosts, hostsOK := b.hosts(at, cfg.Host)
	for _, h := range hosts {
		if h.name != "" {
			r.Hosts = append(r.Hosts, h.String())
		}
	}
	whole := pattern{tree: true}
	pathOK := true
	if cfg.Path != "" {
		whole, pathOK = b.path(at+".path", cfg.Path)
	}
	r.Path = whole.String()

	switch {
	case cfg.To == "":
		b.faults.add(at, "the route leads nowhere", "write to: with the name of an upstream; "+didYouMean("", b.upstreams))
	case !slices.Contains(b.upstreams, r.To):
		b.faults.add(at+".to", fmt.Sprintf("no upstream is called %q", cfg.To), didYouMean(cfg.To, b.upstreams))
	}
	access := cfg.terms(at, terms{}, &b.faults)
	r.Policy = access.policy(cfg.Auth.compile(at+".auth", Policy{Level: Required}, &b.faults))
	r.LoginURL = access.loginURL
	r.CORS = b.crossOrigin(at, cfg.CORS, "")
	r.limit = cfg.RateLimit.compile(at, nil, &b.faults)
	r.Timeouts = cfg.Timeouts.compile(at, Timeouts{}, &b.faults)
	r.aim = b.aim(at, cfg, whole, pathOK)
	r.keepSlashes = b.encodedSlash(at, cfg.EncodedSlash, false)
	r.stream = cfg.StreamMax.compile(at, Stream{Token: true}, &b.faults)
	if hostsOK && pathOK {
		b.add(hosts, whole, nil, &target{Match{Route: r}, whole})
	}
	for j := range cfg.Rules {
		b.rule(r, j, &cfg.Rules[j], access, hosts, whole, hostsOK && pathOK)
	}
	b.idle(at, r, cfg)
}

func (b *builder) rule(r *Route, j int, cfg *RuleConfig, inherited terms, hosts []hostPattern, whole pattern, placed bool) {
	rule := &Rule{Route: r, Index: j}
	at := rule.Field()
	r.Rules = append(r.Rules, rule)
	access := cfg.terms(at, inherited, &b.faults)
	rule.Policy = access.policy(cfg.Auth.compile(at+".auth", r.Policy, &b.faults))
	rule.LoginURL = access.loginURL
	rule.CORS = b.crossOrigin(at, cfg.CORS, r.CORS)
	rule.limit = cfg.RateLimit.compile(at, r.limit, &b.faults)
	rule.Timeouts = cfg.Timeouts.compile(at, r.Timeouts, &b.faults)

	p, ok := whole, true
	switch {
	case cfg.Path != "":
		p, ok = b.path(at+".path", cfg.Path)
	case len(cfg.Methods) == 0:
		b.faults.add(at, "the rule does not say what it is for", "write path: or methods:")
		return
	}
	rule.Path = p.String()
	rule.aim = b.ruleAim(at, cfg.Rewrite, p, ok, r.aim)
	rule.keepSlashes = b.encodedSlash(at, cfg.EncodedSlash, r.keepSlashes)
	rule.stream = cfg.StreamMax.compile(at, r.stream, &b.faults)
	if ok && placed && !whole.holds(p) {
		fix := fmt.Sprintf("write a path inside %s, or another route", whole)
		if inside := (pattern{whole.base + p.base, p.tree}); whole.tree && whole.base != "" {
			fix = fmt.Sprintf("paths of rules are whole: write %s", quote(inside.String()))
		}
		b.faults.clash(at+".path", r.Field()+".path", fmt.Sprintf("%s lies outside its route, %s", p, whole), fix)
		ok = false
	}
	if cfg.Methods != nil && len(cfg.Methods) == 0 {
		b.faults.add(at+".methods", "no method is named, so the rule would never speak", "name one, or leave methods out for all")
		ok = false
	}
	for k, m := range cfg.Methods {
		here := fmt.Sprintf("%s.methods[%d]", at, k)
		method := strings.ToUpper(m)
		switch {
		case !isToken(m):
			b.faults.add(here, fmt.Sprintf("%q is not a method", m), "write one such as GET or POST")
			ok = false
		case slices.Contains(rule.Methods, method):
			b.faults.add(here, fmt.Sprintf("%s is named twice", method), "take one out")
		default:
			rule.Methods = append(rule.Methods, method)
		}
	}
	if ok && placed {
		b.add(hosts, p, rule.Methods, &target{Match{Route: r, Rule: rule}, p})
	}
}

// hosts reads the hosts of a route; none is the one pattern for any host.
func (b *builder) hosts(at string, texts []string) (hosts []hostPattern, ok bool) {
	if len(texts) == 0 {
		return []hostPattern{{}}, true
	}
	ok = true
	for i, text := range texts {
		here := at + ".host"
		if len(texts) > 1 {
			here = fmt.Sprintf("%s.host[%d]", at, i)
		}
		h, problem, fix := parseHost(text)
		switch {
		case problem != "":
			b.faults.add(here, problem, fix)
			ok = false
		case slices.Contains(hosts, h):
			b.faults.add(here, fmt.Sprintf("the host %s is named twice", h), "take one out")
		default:
			hosts = append(hosts, h)
		}
	}
	return hosts, ok
}

// path reads a path, and refuses what gatehouse answers itself.
func (b *builder) path(at, text string) (pattern, bool) {
	p, problem, fix := parsePattern(text)
	if problem != "" {
		b.faults.add(at, problem, fix)
		return p, false
	}
	for _, own := range b.table.own {
		if own.holds(p) || !own.tree && own.base == p.base {
			fix := "write another path, or move tokens.base_path"
			if !own.tree {
				fix = "write another path; this one is fixed, because verifiers look there"
			}
			b.faults.add(at, fmt.Sprintf("gatehouse itself answers %s, so no request comes here", own), fix)
			return p, false
		}
	}
	return p, true
}

// add puts a target into the site of every host. nil methods are all.
func (b *builder) add(hosts []hostPattern, p pattern, names []string, t *target) {
	for _, h := range hosts {
		m := b.table.site(h).methods(p)
		if len(names) == 0 {
			b.place(m, "", t)
		}
		for _, name := range names {
			b.place(m, name, t)
		}
		b.table.rows = append(b.table.rows, newRow(h, p, t.match))
	}
}

func (b *builder) place(m methods, method string, t *target) {
	other := m[method]
	if other == nil {
		m[method] = t
		return
	}
	pair := [2]string{t.match.field(), other.match.field()}
	if b.told[pair] {
		return
	}
	b.told[pair] = true
	if t.match.Rule != nil && other.match.Rule == nil && t.match.Route == other.match.Route {
		b.faults.clash(pair[0]+".path", pair[1], fmt.Sprintf("the rule is for %s, as its route is", t.pattern), "write its auth on the route, or narrow its path or methods")
		return
	}
	what := t.pattern.String()
	if method != "" {
		what = method + " " + what
	}
	b.faults.clash(pair[0], pair[1], fmt.Sprintf("%s and %s are both for %s, and order does not decide", pair[1], pair[0], what), "narrow one by host, path or methods, or take it out")
}

// isToken reports whether s is a token, RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && !strings.ContainsRune("0123456789!#$%&'*+-.^_`|~", r)
	})
}
