package route

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func number(t testing.TB, text string) Value { return scalar(t, KindNumber, text) }

func scalar(t testing.TB, kind, text string) Value {
	t.Helper()
	var v Value
	if err := v.UnmarshalScalar(kind, text); err != nil {
		t.Fatal(err)
	}
	return v
}

// What a claim equals, type by type. "10" is a text and 10 a number, whoever wrote it.
func TestValueEquals(t *testing.T) {
	for _, c := range []struct {
		name  string
		value Value
		claim any
		want  bool
	}{
		{"the same text", Text("admin"), "admin", true},
		{"another letter case", Text("admin"), "Admin", false},
		{"a part of the text", Text("admin"), "administrator", false},
		{"a space behind", Text("admin"), "admin ", false},
		{"composed and decomposed", Text("\u00e9"), "e\u0301", false},
		{"the empty text", Text(""), "", true},
		{"a text of digits and a number", Text("10"), Number("10"), false},
		{"a number and a text of digits", number(t, "10"), "10", false},
		{"the same number", number(t, "10"), Number("10"), true},
		{"as a fraction", number(t, "10"), Number("10.0"), true},
		{"with an exponent", number(t, "10"), Number("1e1"), true},
		{"nearly", number(t, "10"), Number("10.000000000000002"), false},
		{"a fraction", number(t, "0.1"), Number("0.1"), true},
		{"another number", number(t, "10"), Number("11"), false},
		{"next to it behind 2^53", number(t, "9007199254740991"), Number("9007199254740992"), false},
		{"a number that rounds to it", number(t, "9007199254740991"), Number("9007199254740991.6"), false},
		{"a number that is none", number(t, "0"), Number("nonsense"), false},
		{"hexadecimal", number(t, "16"), Number("0x10"), false},
		{"an exponent that costs", number(t, "1"), Number("1e999999999"), false},
		{"one and true", number(t, "1"), true, false},
		{"true", scalar(t, KindTruth, "true"), true, true},
		{"true and false", scalar(t, KindTruth, "true"), false, false},
		{"true and a text", scalar(t, KindTruth, "true"), "true", false},
		{"a text and true", Text("true"), true, false},
		{"false and null", scalar(t, KindTruth, "false"), nil, false},
		{"an empty text and null", Text(""), nil, false},
		{"an object", Text("x"), Object{1}, false},
		{"a list", Text("x"), []any{"x"}, false}, // its elements are looked at by the condition
		{"no value and nothing", Value{}, "", false},
		{"no value and zero", Value{}, Number("0"), false},
		{"no value and false", Value{}, false, false},
	} {
		if got := c.value.Equals(c.claim); got != c.want {
			t.Errorf("%s: %v equals %v is %v", c.name, c.value, c.claim, got)
		}
	}
	for _, bad := range []string{"0x10", "1_000", ".inf", ".nan", "9007199254740992", "1e400", "", "0o17", "1 "} {
		var v Value
		if err := v.UnmarshalScalar(KindNumber, bad); err == nil || v != (Value{}) {
			t.Errorf("%q was taken for a number: %v, %v", bad, v, err)
		}
	}
}

// claims are those of one token, by their first step alone or as nested objects.
func claims(tree map[string]any) func([]string) (any, bool) {
	return func(steps []string) (any, bool) {
		var value any = tree
		for _, step := range steps {
			object, ok := value.(map[string]any)
			if !ok {
				return nil, false
			}
			if value, ok = object[step]; !ok {
				return nil, false
			}
		}
		if object, ok := value.(map[string]any); ok {
			return Object{len(object)}, true
		}
		return value, true
	}
}

func TestConditionsOnClaims(t *testing.T) {
	yes := true
	token := Bearer{Groups: []string{"staff"}, Claims: claims(map[string]any{
		"department":      "sales",
		"level":           Number("3"),
		"admin":           true,
		"nothing":         nil,
		"empty":           "",
		"none":            []any{},
		"hollow":          map[string]any{},
		"zero":            Number("0"),
		"no":              false,
		"roles":           []any{"reader", Number("7"), []any{"deep"}, nil},
		"https://x/roles": []any{"writer"},
		"a.b":             "dotted",
		"a":               map[string]any{"b": "nested"},
		"realm_access":    map[string]any{"roles": []any{"clerk"}},
		"scope":           "orders:read  orders:write profile",
	})}
	is := func(value Value, steps ...string) ClaimConfig { return ClaimConfig{Claim: steps, Equals: &value} }
	in := func(steps []string, values ...Value) ClaimConfig { return ClaimConfig{Claim: steps, In: values} }
	there := func(steps ...string) ClaimConfig { return ClaimConfig{Claim: steps, Present: &yes} }
	for _, c := range []struct {
		name string
		auth Auth
		want Lack
		text string
	}{
		{"equal", Auth{Claims: []ClaimConfig{is(Text("sales"), "department")}}, Nothing, "claim: department = sales"},
		{"by name instead of claim", Auth{Claims: []ClaimConfig{{Name: []string{"department"}, In: []Value{Text("sales")}}}}, Nothing, "claim: department = sales"},
		{"not equal", Auth{Claims: []ClaimConfig{is(Text("ops"), "department")}}, ClaimValue, "claim: department = ops"},
		{"not there", Auth{Claims: []ClaimConfig{is(Text("x"), "absent")}}, ClaimValue, "claim: absent = x"},
		{"one of several", Auth{Claims: []ClaimConfig{in([]string{"department"}, Text("ops"), Text("sales"))}}, Nothing, "claim: department in ops, sales"},
		{"none of several", Auth{Claims: []ClaimConfig{in([]string{"department"}, Text("ops"), Text("hr"))}}, ClaimValue, "claim: department in ops, hr"},
		{"a number", Auth{Claims: []ClaimConfig{is(number(t, "3"), "level")}}, Nothing, "claim: level = 3"},
		{"a number in quotes", Auth{Claims: []ClaimConfig{is(Text("3"), "level")}}, ClaimValue, `claim: level = "3"`},
		{"a boolean", Auth{Claims: []ClaimConfig{is(scalar(t, KindTruth, "true"), "admin")}}, Nothing, "claim: admin = true"},
		{"an element of a list", Auth{Claims: []ClaimConfig{is(Text("reader"), "roles")}}, Nothing, "claim: roles = reader"},
		{"a number in a list", Auth{Claims: []ClaimConfig{is(number(t, "7"), "roles")}}, Nothing, "claim: roles = 7"},
		{"an element of a list in a list", Auth{Claims: []ClaimConfig{is(Text("deep"), "roles")}}, ClaimValue, "claim: roles = deep"},
		{"no element", Auth{Claims: []ClaimConfig{is(Text("owner"), "roles")}}, ClaimValue, "claim: roles = owner"},
		{"a name with slashes and dots", Auth{Claims: []ClaimConfig{is(Text("writer"), "https://x/roles")}}, Nothing, "claim: https://x/roles = writer"},
		{"a dot is no step", Auth{Claims: []ClaimConfig{is(Text("dotted"), "a.b")}}, Nothing, "claim: a.b = dotted"},
		{"two steps", Auth{Claims: []ClaimConfig{is(Text("nested"), "a", "b")}}, Nothing, "claim: a > b = nested"},
		{"nested list", Auth{Claims: []ClaimConfig{is(Text("clerk"), "realm_access", "roles")}}, Nothing, "claim: realm_access > roles = clerk"},
		{"a step through a text", Auth{Claims: []ClaimConfig{is(Text("sales"), "department", "department")}}, ClaimValue, "claim: department > department = sales"},
		{"a step through a list", Auth{Claims: []ClaimConfig{is(Text("reader"), "roles", "0")}}, ClaimValue, "claim: roles > 0 = reader"},
		{"present", Auth{Claims: []ClaimConfig{there("department")}}, Nothing, "claim: department present"},
		{"present, zero", Auth{Claims: []ClaimConfig{there("zero")}}, Nothing, "claim: zero present"},
		{"present, false", Auth{Claims: []ClaimConfig{there("no")}}, Nothing, "claim: no present"},
		{"present, an object", Auth{Claims: []ClaimConfig{there("a")}}, Nothing, "claim: a present"},
		{"null is not present", Auth{Claims: []ClaimConfig{there("nothing")}}, ClaimValue, "claim: nothing present"},
		{"an empty text is not present", Auth{Claims: []ClaimConfig{there("empty")}}, ClaimValue, "claim: empty present"},
		{"an empty list is not present", Auth{Claims: []ClaimConfig{there("none")}}, ClaimValue, "claim: none present"},
		{"an empty object is not present", Auth{Claims: []ClaimConfig{there("hollow")}}, ClaimValue, "claim: hollow present"},
		{"two that hold", Auth{Claims: []ClaimConfig{there("level"), is(Text("sales"), "department")}}, Nothing, "claim: level present; claim: department = sales"},
		{"two of which one holds", Auth{Claims: []ClaimConfig{there("level"), is(Text("hr"), "department")}}, ClaimValue, "claim: level present; claim: department = hr"},
		{"a scope", Auth{Scopes: []string{"profile"}}, Nothing, "scopes: profile"},
		{"one of two scopes", Auth{Scopes: []string{"admin", "orders:read"}}, Nothing, "scopes: admin, orders:read"},
		{"two scopes together", Auth{Scopes: []string{"orders:read orders:write"}}, Nothing, "scopes: orders:read+orders:write"},
		{"two together of which one is missing", Auth{Scopes: []string{"orders:read admin"}}, Scope, "scopes: orders:read+admin"},
		{"a part of a scope", Auth{Scopes: []string{"orders"}}, Scope, "scopes: orders"},
		{"group, claim and scope", Auth{Groups: []string{"staff"}, Claims: []ClaimConfig{there("level")}, Scopes: []string{"profile"}}, Nothing, "groups: staff; claim: level present; scopes: profile"},
		{"of these the group is missing", Auth{Groups: []string{"ops"}, Claims: []ClaimConfig{there("level")}, Scopes: []string{"profile"}}, Group, "groups: ops; claim: level present; scopes: profile"},
		{"of these the claim is missing", Auth{Groups: []string{"staff"}, Claims: []ClaimConfig{there("x")}, Scopes: []string{"profile"}}, ClaimValue, "groups: staff; claim: x present; scopes: profile"},
		{"of these the scope is missing", Auth{Groups: []string{"staff"}, Claims: []ClaimConfig{there("level")}, Scopes: []string{"x"}}, Scope, "groups: staff; claim: level present; scopes: x"},
	} {
		var f faults
		p := c.auth.compile("auth", Policy{}, &f)
		if f != nil {
			t.Errorf("%s: %v", c.name, f)
			continue
		}
		if got := p.Lacks(token); got != c.want || p.Admits(token) != (c.want == Nothing) || p.String() != c.text {
			t.Errorf("%s: lacks %d, want %d; %q", c.name, got, c.want, p)
		}
		if p.Anonymous() || p.Admits(Bearer{}) {
			t.Errorf("%s: nobody passes", c.name)
		}
		if !p.Equal(p) || p.Equal(Policy{Level: Required}) {
			t.Errorf("%s: compares wrongly", c.name)
		}
	}
}

func TestWhereScopesStand(t *testing.T) {
	p := Policy{Level: Required, Scopes: [][]string{{"read"}}}
	for _, c := range []struct {
		name   string
		claims map[string]any
		want   bool
	}{
		{"scope, a text", map[string]any{"scope": "write read"}, true},
		{"scope, a list", map[string]any{"scope": []any{"write", "read"}}, true},
		{"scp, a text", map[string]any{"scp": "read"}, true},
		{"scp, a list", map[string]any{"scp": []any{"read"}}, true},
		{"scope counts before scp", map[string]any{"scope": "write", "scp": "read"}, false},
		{"none", map[string]any{}, false},
		{"a list with something else in it", map[string]any{"scope": []any{"read", Number("1")}}, false},
		{"words in an element of a list", map[string]any{"scope": []any{"read write"}}, false},
		{"a tab between", map[string]any{"scope": "read\twrite"}, false},
		{"commas between", map[string]any{"scope": "read,write"}, false},
		{"another letter case", map[string]any{"scope": "Read"}, false},
		{"null", map[string]any{"scope": nil}, false},
		{"null before scp", map[string]any{"scope": nil, "scp": "read"}, false},
		{"an object", map[string]any{"scope": map[string]any{"read": true}}, false},
	} {
		if got := p.Admits(Bearer{Claims: claims(c.claims)}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestFaultsOfAccess(t *testing.T) {
	no, text := false, Text("x")
	for _, c := range []struct {
		name   string
		routes []Config
		want   string // how the one fault begins
	}{
		{"no group", []Config{{To: "app", Auth: Auth{Groups: []string{}}}}, "routes[0].auth.groups: no group is named"},
		{"no condition", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{}}}}, "routes[0].auth.claims: no condition is named"},
		{"no scope", []Config{{To: "app", Auth: Auth{Scopes: []string{}}}}, "routes[0].auth.scopes: no scope is named"},
		{"no claim", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{{Equals: &text}}}}}, "routes[0].auth.claims[0]: the condition does not say which claim"},
		{"an empty step", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{{Claim: []string{"a", ""}, Equals: &text}}}}}, "routes[0].auth.claims[0]: the condition does not say which claim"},
		{"name and claim", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{{Claim: []string{"a"}, Name: []string{"b"}, Equals: &text}}}}}, "routes[0].auth.claims[0].name: the claim is named twice"},
		{"nothing wanted", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{{Claim: []string{"a"}}}}}}, "routes[0].auth.claims[0]: the condition does not say what"},
		{"two things wanted", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{{Claim: []string{"a"}, Equals: &text, In: []Value{text}}}}}}, "routes[0].auth.claims[0]: the condition says two things"},
		{"wanted not to be there", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{{Claim: []string{"a"}, Present: &no}}}}}, "routes[0].auth.claims[0].present: a condition asks for what is there"},
		{"in nothing", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{{Claim: []string{"a"}, In: []Value{}}}}}}, "routes[0].auth.claims[0].in: no value is named"},
		{"twice in", []Config{{To: "app", Auth: Auth{Claims: []ClaimConfig{{Claim: []string{"a"}, In: []Value{text, text}}}}}}, "routes[0].auth.claims[0].in[1]: the value x is named twice"},
		{"a scope with a quote", []Config{{To: "app", Auth: Auth{Scopes: []string{`a"b`}}}}, "routes[0].auth.scopes[0]: "},
		{"a scope with two spaces", []Config{{To: "app", Auth: Auth{Scopes: []string{"a  b"}}}}, "routes[0].auth.scopes[0]: "},
		{"a word and claims", []Config{{To: "app", Auth: Auth{Word: "public", Claims: []ClaimConfig{{Claim: []string{"a"}, Equals: &text}}}}}, "routes[0].auth: a word and conditions at once"},
		{"an unknown mode", []Config{{To: "app", Access: Access{Mode: "reprot"}}}, `routes[0].mode: mode cannot be "reprot"; did you mean "report"?`},
		{"an unknown on_invalid", []Config{{To: "app", Auth: Auth{Word: "optional"}, Access: Access{OnInvalid: "ignore"}}}, "routes[0].on_invalid: on_invalid cannot be"},
		{"on_invalid without optional", []Config{{To: "app", Access: Access{OnInvalid: "anonymous"}}}, "routes[0].on_invalid: auth is not optional here"},
		{"on_invalid on a rule without optional", []Config{{To: "app", Auth: Auth{Word: "optional"}, Rules: []RuleConfig{{Path: "/a", Auth: deny(), Access: Access{OnInvalid: "anonymous"}}}}}, "routes[0].rules[0].on_invalid: auth is not optional here"},
		{"report on what is denied", []Config{{To: "app", Auth: deny(), Access: Access{Mode: "report"}}}, "routes[0].mode: there is nothing to report"},
		{"report on what is public", []Config{{To: "app", Rules: []RuleConfig{{Path: "/a", Auth: public(), Access: Access{Mode: "report"}}}}}, "routes[0].rules[0].mode: there is nothing to report"},
		{"redirect to nowhere", []Config{{To: "app", Access: Access{OnUnauthenticated: "redirect"}}}, "routes[0].on_unauthenticated: it is not said where to"},
		{"json and a login page", []Config{{To: "app", Access: Access{OnUnauthenticated: "json", LoginURL: "https://l.example.com/"}}}, "routes[0].login_url: nobody is sent there"},
		{"a login page on another site by two slashes", []Config{{To: "app", Access: Access{LoginURL: "//evil.test/"}}}, "routes[0].login_url: "},
		{"a script for a login page", []Config{{To: "app", Access: Access{LoginURL: "javascript:alert(1)"}}}, "routes[0].login_url: "},
		{"a login page with a user", []Config{{To: "app", Access: Access{LoginURL: "https://a@b.test/"}}}, "routes[0].login_url: "},
		{"a login page with a backslash", []Config{{To: "app", Access: Access{LoginURL: `/\evil.test`}}}, "routes[0].login_url: "},
		{"a login page with a fragment", []Config{{To: "app", Access: Access{LoginURL: "https://b.test/#a"}}}, "routes[0].login_url: "},
		{"a login page that asks for a token", []Config{{To: "app", Access: Access{LoginURL: "/login"}}}, "routes[0].login_url: /login asks for a token itself"},
		{"a login page that is nowhere", []Config{{To: "app", Path: "/x/*", Access: Access{LoginURL: "/login"}}}, "routes[0].login_url: no route speaks for /login"},
		{"no place for tokens", []Config{{To: "app", Access: Access{TokenFrom: []TokenSource{}}}}, "routes[0].token_from: no place is named"},
		{"an unknown place", []Config{{To: "app", Access: Access{TokenFrom: []TokenSource{{Word: "body"}}}}}, `routes[0].token_from[0]: there is no place "body"`},
		{"a place without a name", []Config{{To: "app", Access: Access{TokenFrom: []TokenSource{{}}}}}, "routes[0].token_from[0]: the place has no name"},
		{"two places in one", []Config{{To: "app", Access: Access{TokenFrom: []TokenSource{{Cookie: "a", Query: "b"}}}}}, "routes[0].token_from[0]: two places at once"},
		{"a cookie with a semicolon", []Config{{To: "app", Access: Access{TokenFrom: []TokenSource{{Cookie: "a;b"}}}}}, "routes[0].token_from[0].cookie: "},
		{"the same place twice", []Config{{To: "app", Access: Access{TokenFrom: []TokenSource{{Word: "header"}, {Word: "header"}}}}}, "routes[0].token_from[1]: header is named twice"},
	} {
		_, err := New(c.routes, upstreams)
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		var fault *Fault
		if !errors.As(err, &fault) {
			t.Fatal(err)
		}
		list := strings.Split(err.Error(), "\n")
		if text := fault.At + ": " + fault.Error(); len(list) != 1 || len(text) < len(c.want) || text[:len(c.want)] != c.want {
			t.Errorf("%s: got %d, first %q, want %q", c.name, len(list), text, c.want)
		}
	}
}

func TestRulesInheritAccess(t *testing.T) {
	cookie := []TokenSource{{Word: "header"}, {Cookie: "access"}}
	table := mustTable(t, []Config{{
		To: "app", Access: Access{Mode: "report", LoginURL: "/login", TokenFrom: cookie},
		Rules: []RuleConfig{
			{Path: "/inherits"},
			{Path: "/enforced", Access: Access{Mode: "enforce"}},
			{Path: "/denied", Auth: deny()},
			{Path: "/json", Access: Access{OnUnauthenticated: "json"}},
			{Path: "/elsewhere", Access: Access{LoginURL: "https://login.example.com/?rd="}},
			{Path: "/ws", Access: Access{TokenFrom: []TokenSource{{Query: "t"}}}},
			{Path: "/maybe", Auth: Auth{Word: "optional"}, Access: Access{OnInvalid: "anonymous"}},
			{Path: "/login", Auth: public()},
			{Path: "/files/*", Auth: public(), Access: Access{TokenFrom: []TokenSource{{Word: "header"}}}, EncodedSlash: "keep", StreamMax: "90m"},
			{Path: "/feed", Auth: public(), Access: Access{TokenFrom: []TokenSource{{Word: "header"}}}, StreamMax: "none"},
		},
	}}, upstreams)
	var got []string
	for _, row := range table.Rows() {
		got = append(got, row.Path+" "+row.Policy.String()+" "+strings.Join(row.With(), "; "))
	}
	want := []string{
		"/denied deny ",
		"/elsewhere required mode: report; token_from: header, cookie access; login_url: https://login.example.com/?rd=",
		"/enforced required token_from: header, cookie access; login_url: /login",
		"/feed public token_from: header; stream_max: none",
		"/inherits required mode: report; token_from: header, cookie access; login_url: /login",
		"/json required mode: report; token_from: header, cookie access",
		"/login public token_from: header, cookie access",
		"/maybe optional mode: report; on_invalid: anonymous; token_from: header, cookie access; login_url: /login",
		"/ws required mode: report; token_from: query t; login_url: /login",
		"/files/* public token_from: header; encoded_slash: keep; stream_max: 1h30m",
		"/* required mode: report; token_from: header, cookie access; login_url: /login",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]string{"100/1m": "100/1m", "5/5m": "5/5m", "10/s": "10/1s", "1000/24h": "1000/24h", "2/1d": "2/24h", "1/1h30m": "1/1h30m", "7/100ms": "7/100ms"} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r.String() != want {
			t.Errorf("%s is %s, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "100", "/1m", "0/1m", "-1/1m", "100/", "100/0s", "1.5/1m", "100/1ns", "10000000/1m", "1/999999h", "a/b", "1/1x"} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken for %s", text, r)
		}
	}
	for want, limit := range map[string]RateLimit{
		"rate_limit.by: requests cannot be counted by":      {By: "ip", Rate: Rate{N: 1, In: 1e9}},
		"rate_limit.rate: it is not said how many requests": {By: "user"},
		"rate_limit.burst: -1 is no number":                 {By: "user", Rate: Rate{N: 1, In: 1e9}, Burst: -1},
		"rate_limit: rate_limit cannot be \"off\"":          {Word: "off"},
	} {
		_, err := New([]Config{{To: "app", RateLimit: limit}}, upstreams)
		var fault *Fault
		if !errors.As(err, &fault) || !strings.HasPrefix(fault.At+": "+fault.Problem, "routes[0]."+want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
