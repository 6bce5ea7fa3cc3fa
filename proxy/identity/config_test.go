package identity

import (
	"errors"
	"strings"
	"testing"
)

func TestFaults(t *testing.T) {
	one := func(name string) Config { return Config{Headers: map[string]Source{name: {Word: "user_id"}}} }
	source := func(s Source) Config { return Config{Headers: map[string]Source{"X-A": s}} }
	also := func(names ...string) Config { return Config{AlsoStrip: names} }
	text := func(s string) *string { return &s }
	const odd = "the name of a header has letters, digits and dashes; backends drop or change what has others; write "
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"underscores", one("REMOTE_USER"), "identity.headers.REMOTE_USER: " + odd + "Remote-User"},
		{"a dot", one("x.user.id"), "identity.headers.x.user.id: " + odd + "X-User-Id"},
		{"a space", one("X User"), "identity.headers.X User: " + odd + "X-User"},
		{"not ASCII", one("X-Ünit"), "identity.headers.X-Ünit: " + odd + "X---Nit"},
		{"a line", one("X-A\r\nB"), "identity.headers.X-A\r\nB: " + odd + "X-A--B"},
		{"no name", one(""), "identity.headers.: the header has no name; write one such as X-User-Id"},
		{"dashes only", one("--"), "identity.headers.--: the header has no name; write one such as X-User-Id"},
		{"a dash at the end", one("x-user-"), "identity.headers.x-user-: the name of a header begins and ends with a letter or digit; write X-User"},
		{"too long", one("X-" + strings.Repeat("a", 60)), "identity.headers.X-" + strings.Repeat("a", 60) + ": the name of a header has at most 60 bytes; write a shorter one"},
		{"Host", one("host"), "identity.headers.host: Host has a meaning of its own; write a name such as X-User-Id or Remote-User"},
		{"hop by hop", one("Connection"), "identity.headers.Connection: Connection has a meaning of its own; write a name such as X-User-Id or Remote-User"},
		{"content", one("Content-User"), "identity.headers.Content-User: Content-User has a meaning of its own; write a name such as X-User-Id or Remote-User"},
		{"credentials", one("authorization"), "identity.headers.authorization: Authorization has a meaning of its own; write a name such as X-User-Id or Remote-User"},
		{"what gatehouse sets itself", one("X-Forwarded-For"), "identity.headers.X-Forwarded-For: X-Forwarded-For has a meaning of its own; write a name such as X-User-Id or Remote-User"},
		{"what moves a request", one("X-Original-URL"), "identity.headers.X-Original-URL: X-Original-Url has a meaning of its own; write a name such as X-User-Id or Remote-User"},
		{"one header twice", Config{Headers: map[string]Source{"X-A": {Word: "email"}, "x-a": {Word: "email"}}}, "identity.headers.x-a [identity.headers.X-A]: X-A and X-A are the same header for a backend; take one out"},

		{"no source", source(Source{}), "identity.headers.X-A: the header has no source; write user_id, username, email, groups, or a map with claim"},
		{"a word that is none", source(Source{Word: "department"}), `identity.headers.X-A: there is no source "department"; write user_id, username, email, groups, or a map with claim: {claim: department}`},
		{"two sources", source(Source{Word: "email", Claim: []string{"email"}}), "identity.headers.X-A: from and claim at once; take one out"},
		{"a claim without name", source(Source{Claim: []string{}}), "identity.headers.X-A: the claim has no name; write it as one word, or as a list of steps"},
		{"an empty step", source(Source{Claim: []string{"a", ""}}), "identity.headers.X-A: a step of the claim is empty; write the names of the members on the way to it"},
		{"join for what is no list", source(Source{Word: "email", Join: ","}), "identity.headers.X-A: email is never a list; leave join out"},
		{"a letter as separator", source(Source{Word: "groups", Join: "and"}), `identity.headers.X-A: join cannot be "and"; write one to four of , ; | : and the like, or spaces`},
		{"the escape as separator", source(Source{Word: "groups", Join: "%"}), `identity.headers.X-A: join cannot be "%"; write one to four of , ; | : and the like, or spaces`},
		{"a line as separator", source(Source{Word: "groups", Join: "\n"}), `identity.headers.X-A: join cannot be "\n"; write one to four of , ; | : and the like, or spaces`},
		{"a long separator", source(Source{Word: "groups", Join: ",,,,,"}), `identity.headers.X-A: join cannot be ",,,,,"; write one to four of , ; | : and the like, or spaces`},
		{"a default that is no value", source(Source{Word: "email", Default: text("a\nb")}), `identity.headers.X-A: the default "a\nb" cannot stand in a header; write printable ASCII without spaces at its ends`},
		{"a default with spaces", source(Source{Word: "email", Default: text(" ")}), `identity.headers.X-A: the default " " cannot stand in a header; write printable ASCII without spaces at its ends`},

		{"a family without dash", also("X-Remote*"), "identity.also_strip[0]: a family ends in -*; write X-Remote-*"},
		{"a family with underscore", also("x_remote_*"), "identity.also_strip[0]: a family ends in -*; write X-Remote-*"},
		{"every header", also("*"), "identity.also_strip[0]: this would take every header away; write a family such as X-Remote-*"},
		{"every header, with a dash", also("-*"), "identity.also_strip[0]: the header has no name; write one such as X-User-Id"},
		{"a star inside", also("X-*-User"), "identity.also_strip[0]: " + odd + "X---User"},
		{"underscores in what is stripped", also("REMOTE_USER"), "identity.also_strip[0]: " + odd + "Remote-User"},
		{"underscores in a family", also("X_Remote-*"), "identity.also_strip[0]: " + odd + "X-Remote-*"},
		{"a forgotten star", also("X-Remote-"), "identity.also_strip[0]: a header does not end in a dash; write X-Remote, or X-Remote-* for the family"},
		{"what requests need", also("cookie"), "identity.also_strip[0]: requests would lose Cookie; write a name that only identities have"},
		{"a family that requests need", also("Content-*"), "identity.also_strip[0]: requests would lose Content-Length; write a name that only identities have"},
		{"all at once", Config{Headers: map[string]Source{"a_b": {Word: "email"}, "X-C": {}}, AlsoStrip: []string{"X-Fine-*", "*"}}, `identity.headers.X-C: the header has no source; write user_id, username, email, groups, or a map with claim
identity.headers.a_b: ` + odd + `A-B
identity.also_strip[1]: this would take every header away; write a family such as X-Remote-*`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := New(c.cfg)
			if err == nil || h != nil {
				t.Fatal("was accepted")
			}
			var lines []string
			for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
				var f *Fault
				if !errors.As(err, &f) {
					t.Fatalf("not a Fault: %T", err)
				}
				other := ""
				if f.Also() != "" {
					other = " [" + f.Also() + "]"
				}
				lines = append(lines, f.Field()+other+": "+f.Error())
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestGoodNames(t *testing.T) {
	mustHeaders(t, Config{
		Headers: map[string]Source{
			"Remote-User": {Word: "username"}, "x-forwarded-user": {Word: "username"}, "X-Forwarded-Email": {Word: "email"}, "X-WEBAUTH-USER": {Word: "username"},
			"X-Dept": {Claim: []string{"profile", "department"}}, "X-Roles": {Claim: []string{"https://x/roles"}, Join: " "},
		},
		AlsoStrip: []string{"X-Remote-*", "X-Auth-*", "Remote-User", "X-Forwarded-User"},
	})
}

func TestSourceWord(t *testing.T) {
	var s Source
	if err := s.UnmarshalText([]byte("groups")); err != nil || s.Word != "groups" {
		t.Errorf("got %+v, %v", s, err)
	}
	if err := s.UnmarshalText(nil); err == nil {
		t.Error("an empty source was accepted")
	}
}
