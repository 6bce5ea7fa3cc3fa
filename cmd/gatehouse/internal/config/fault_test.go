package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatAFileCannotSay(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		want []string
	}{
		{"nothing", "", []string{"1: " + emptyFile}},
		{"comments only", "# later\n\n", []string{"1: " + emptyFile}},
		{"a document without content", "---\n", []string{"1: " + emptyFile}},
		{"a list instead of sections", "- server\n", []string{"1: the file is a list where sections are expected; begin with a line such as `upstreams:`"}},
		{"a word instead of sections", "\nhello\n", []string{"2: the file is the text \"hello\" where sections are expected; begin with a line such as `upstreams:`"}},
		{"two documents", "server: {}\n---\nserver: {}\n", []string{"2: a second YAML document begins here; keep one document, without --- between its parts"}},
		{"a broken second document", "server: {}\n---\n{\n", []string{"3: YAML cannot be read: did not find expected node content; look at the indentation, colons and quotes here and on the line above"}},
		{"Latin-1", "server:\n  listen: \"caf\xe9\"\n", []string{"2: there is a byte that is not UTF-8 text; save the file as UTF-8"}},
		{"a control character", "server:\n  listen: \"\x00\"\n", []string{"2: there is a control character; delete it"}},
		{"UTF-16", "\xff\xfes\x00", []string{"1: the file is encoded in UTF-16; save it as UTF-8"}},
		{"a tab as indentation", "server:\n\tlisten: x\n", []string{"2: YAML cannot be read: a tab, or a character that means something in YAML, stands at the start of a value; indent with spaces, and write the value in quotes"}},
		{"a missing bracket", "server: {\n", []string{"1: YAML cannot be read: did not find expected node content; look at the indentation, colons and quotes here and on the line above"}},
		{"an unquoted wildcard host", "routes:\n  - host: *.example.com\n", []string{"2: the value begins with * or & and is taken for a YAML alias or anchor; write it in quotes"}},
		{"an unquoted wildcard name", "routes:\n  - host: *shop\n", []string{"2: the value begins with * and is taken for a YAML alias; write it in quotes"}},
		{"an alias", "server: { listen: &here ':80' }\nstore:\n  dsn: *here\n", []string{"3: store.dsn: is an alias (*here), which is not supported; write the value out, or in quotes if it is meant to begin with *"}},
		{"a merge key", "server: &s { listen: ':80' }\nlogin:\n  <<: *s\n", []string{"3: login: has a merge key (<<), which is not supported; write the keys out"}},

		{"a misspelled key", "server:\n  lsiten: ':80'\n", []string{"2: server.lsiten: there is no such key; did you mean listen?"}},
		{"a misspelled section", "upstream:\n  app: {}\n", []string{"1: upstream: there is no such key; did you mean upstreams?"}},
		{"a key in capitals", "server: { Listen: ':80' }\n", []string{"1: server.Listen: there is no such key; did you mean listen?"}},
		{"a key of another section", "server: {}\nlisten: ':80'\n", []string{"2: listen: there is no such key here; did you mean server.listen?"}},
		{"a key of nothing", "server:\n  drain: { color: red }\n", []string{"2: server.drain.color: there is no such key; here can stand delay, streams, timeout"}},
		{"a misspelled key in a list", "routes:\n  - to: a\n    rules:\n      - paht: /x\n", []string{"4: routes[0].rules[0].paht: there is no such key; did you mean path?"}},
		{"a key that is no name", "server:\n  [a]: b\n", []string{"2: server: has a key that is no name; write a word, then a colon"}},
		{"a key written twice", "server:\n  listen: ':80'\n  max_body: 1\n  listen: ':81'\n", []string{"4: server.listen: is written twice, first in line 2; keep one of them"}},
		{"a section written twice", "server: {}\nstore: {}\nserver: {}\n", []string{"3: server: is written twice, first in line 1; keep one of them"}},
		{"an upstream written twice", "upstreams:\n  app: { url: a }\n  app: { url: b }\n", []string{"3: upstreams.app: is written twice, first in line 2; keep one of them"}},
		{"upstreams that differ in case only", "upstreams:\n  app: { url: a }\n  App: { url: b }\n", []string{"3: upstreams.App: differs only in upper and lower case from app in line 2; keep one of them"}},
		{"headers that differ in case only", "identity:\n  headers:\n    X-User: email\n    x-user: user_id\n", []string{"4: identity.headers.x-user: differs only in upper and lower case from X-User in line 3; keep one of them"}},

		{"a map where text is wanted", "server:\n  admin_listen: { port: 80 }\n", []string{"2: server.admin_listen: is a map where text is expected"}},
		{"a list where text is wanted", "server:\n  admin_listen: [':80']\n", []string{"2: server.admin_listen: is a list where text is expected"}},
		{"a word where a section is wanted", "server: on\n", []string{"1: server: is the text \"on\" where a map is expected; write its keys below it, indented"}},
		{"a map where a list is wanted", "routes:\n  to: app\n", []string{"2: routes: is a map where a list of entries, each beginning with -, is expected"}},
		{"a list where a map is wanted", "upstreams:\n  - url: http://a\n", []string{"2: upstreams: is a list where a map is expected"}},
		{"a word where a route is wanted", "routes: [app]\n", []string{"1: routes[0]: is the text \"app\" where a map is expected"}},
		{"a list where auth is wanted", "routes: [{ auth: [staff] }]\n", []string{"1: routes[0].auth: is a list where a word, or a map with claims, groups, scopes, is expected"}},
		{"an empty auth", "routes: [{ auth: {} }]\n", []string{"1: routes[0].auth: is an empty map; write a word, or at least one of claims, groups, scopes"}},
		{"an auth for no group", "routes: [{ auth: { groups: [] } }]\n", []string{"1: routes[0].auth.groups: is an empty list; write at least one value, or delete the key"}},
		{"an auth with nothing behind it", "routes:\n  - auth:\n", []string{"2: routes[0].auth: has no value; write one, or delete the line"}},
		{"a claim that is nothing", "routes: [{ auth: { claims: [{ claim: a, equals: ~ }] } }]\n", []string{"1: routes[0].auth.claims[0].equals: has no value; write one, or delete the line"}},
		{"a claim that is a list", "routes: [{ auth: { claims: [{ claim: a, equals: [b] }] } }]\n", []string{"1: routes[0].auth.claims[0].equals: is a list where one value is expected"}},
		{"a claim that is no number", "routes: [{ auth: { claims: [{ claim: a, in: [b, 0x10] }] } }]\n", []string{`1: routes[0].auth.claims[0].in[1]: "0x10" is not a number that can be compared exactly; write it in quotes if it is a text, or a decimal below 2^53`}},
		{"no places for tokens", "routes: [{ token_from: { cookie: a } }]\n", []string{"1: routes[0].token_from: is a map where a list of values is expected"}},
		{"groups with nothing behind them", "routes: [{ auth: { groups: } }]\n", []string{"1: routes[0].auth.groups: has no value; write one, or delete the line"}},
		{"true where text is wanted", "tokens: { issuer: true }\n", []string{"1: tokens.issuer: is the word true where text is expected; write it in quotes if it is meant"}},
		{"nothing where text is wanted", "tokens:\n  issuer:\n", []string{"2: tokens.issuer: has no value; write one, or delete the line"}},
		{"an upstream without anything", "upstreams:\n  app:\n", []string{"2: upstreams.app: has no value; write what it is, or delete the line"}},
		{"a list with a hole", "server:\n  trusted_proxies:\n    - 10.0.0.1\n    -\n", []string{"4: server.trusted_proxies[1]: has no value; write one, or delete the line"}},
		{"yes for true", "identity: { forward_token: yes }\n", []string{"1: identity.forward_token: is the text \"yes\"; write true, without quotes"}},
		{"false in quotes", "identity: { forward_token: \"false\" }\n", []string{"1: identity.forward_token: is the text \"false\"; write false, without quotes"}},
		{"a number for true", "identity: { forward_token: 7 }\n", []string{"1: identity.forward_token: is the number 7; write true or false"}},
		{"a number in quotes", "login: { hashing: { max_queue: \"5\" } }\n", []string{"1: login.hashing.max_queue: is the text \"5\"; write a number without quotes"}},
		{"half a number", "login: { hashing: { max_queue: 1.5 } }\n", []string{"1: login.hashing.max_queue: is the number 1.5; write a whole number"}},
		{"a number beyond all numbers", "login: { hashing: { max_queue: 99999999999999999999 } }\n", []string{"1: login.hashing.max_queue: is the number 99999999999999999999; write a whole number"}},
		{"a duration without unit", "server: { idle_timeout: 30 }\n", []string{"1: server.idle_timeout: is \"30\", which has no unit; write a number and a unit: 1500ms, 30s, 5m, 24h or 7d"}},
		{"a duration in words", "server: { idle_timeout: soon }\n", []string{"1: server.idle_timeout: is \"soon\", which is no duration; write a number and a unit: 1500ms, 30s, 5m, 24h or 7d"}},
		{"a duration below 0", "server: { idle_timeout: -5s }\n", []string{"1: server.idle_timeout: is \"-5s\", which is below 0; write a number and a unit: 1500ms, 30s, 5m, 24h or 7d"}},
		{"a size in MB", "server: { max_body: 20MB }\n", []string{"1: server.max_body: \"20MB\" is not a size; write a number of bytes, or one with KiB, MiB or GiB"}},
		{"a tag", "server: { listen: !!binary aGk= }\n", []string{"1: server.listen: has the YAML tag !!binary, which is not supported; write the plain value"}},
		{
			"several at once, in the order of the file",
			"routes:\n  - { to: app, auht: public }\nserver:\n  idle_timeout: 3\n  admin_listen: [a]\ntokens: { keys: { kid: a } }\n",
			[]string{
				"2: routes[0].auht: there is no such key; did you mean auth?",
				"4: server.idle_timeout: is \"3\", which has no unit; write a number and a unit: 1500ms, 30s, 5m, 24h or 7d",
				"5: server.admin_listen: is a list where text is expected",
				"6: tokens.keys: is a map where a list of entries, each beginning with -, is expected",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.text)
			_, err := Load(Input{Path: path})
			for i := range test.want {
				test.want[i] = "gatehouse.yaml:" + test.want[i]
			}
			if diff := cmp.Diff(test.want, faultsOf(t, err, path)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestASecretIsNeverShown(t *testing.T) {
	for name, text := range map[string]string{
		"a list of secrets":         "tokens: { keys: [{ kid: a, secret: [" + secret + "] }] }",
		"a map below secret":        "tokens: { keys: [{ kid: a, secret: { x: " + secret + " } }] }",
		"a tagged secret":           "tokens: { keys: [{ kid: a, secret: !!binary " + secret + " }] }",
		"the same key twice":        "tokens: { keys: [{ kid: a, secret: x, secret: " + secret + " }] }",
		"both of secret and file":   "tokens: { keys: [{ kid: a, secret: " + secret + ", secret_file: x }] }",
		"a key that is not closed":  "tokens: { keys: [{ kid: a, secret: \"" + secret,
		"a misspelled key":          "tokens: { keys: [{ kid: a, scret: " + secret + " }] }",
		"a key in the wrong place":  "secret: " + secret,
		"a colon that is forgotten": "tokens:\n  keys:\n    - kid: a\n      secret " + secret + "\n",
		"keys that are text":        "tokens: { keys: [{ kid: a, secret: \"\t\x01" + secret + "\" }] }",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Input{Path: write(t, text)})
			if err == nil {
				t.Fatal("got no fault")
			}
			if strings.Contains(err.Error(), secret[:8]) {
				t.Errorf("the secret is in: %v", err)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	names := []string{"listen", "max_body", "max_header_bytes", "idle_timeout", "drain"}
	for name, want := range map[string]string{
		"lsiten": "listen", "Listen": "listen", "maxbody": "max_body", "max-body": "max_body", "timeout": "idle_timeout",
		"dran": "drain", "x": "", "completely_else": "", strings.Repeat("a", 5000): "",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", name, got, want)
		}
	}
}
