package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/proxy"
	"gatehouse/tokens"
)

func TestEachScalarKeyHasAVariableOfItsOwn(t *testing.T) {
	seen := map[string]string{}
	for _, v := range variables() {
		if other, ok := seen[v.name]; ok {
			t.Errorf("%s and %s share the variable %s", v.key, other, v.name)
		}
		seen[v.name] = v.key
	}
	for name, key := range map[string]string{
		"GATEHOUSE_SERVER_LISTEN":                 "server.listen",
		"GATEHOUSE_SERVER_DRAIN_TIMEOUT":          "server.drain.timeout",
		"GATEHOUSE_SERVER_TRUSTED_PROXIES":        "server.trusted_proxies",
		"GATEHOUSE_STORE_DSN":                     "store.dsn",
		"GATEHOUSE_STORE_DSN_FILE":                "store.dsn_file",
		"GATEHOUSE_LOGIN_HASHING_MAX_PARALLEL":    "login.hashing.max_parallel",
		"GATEHOUSE_TOKENS_ACCESS_LIFETIME":        "tokens.access_lifetime",
		"GATEHOUSE_IDENTITY_FORWARD_TOKEN":        "identity.forward_token",
		"GATEHOUSE_UPSTREAMS":                     "",
		"GATEHOUSE_TOKENS_KEYS":                   "",
		"GATEHOUSE_LOGIN_HASHING_INSECURE_CHEAP":  "",
		"GATEHOUSE_LOGIN_HASHING_INSECURECHEAP":   "",
		"GATEHOUSE_CONFIG_SERVER_MAX_BODY":        "",
		"GATEHOUSE_TOKENS_KEYS_SECRET":            "",
		"GATEHOUSE_IDENTITY_HEADERS_X_USER_EMAIL": "",
	} {
		if seen[name] != key {
			t.Errorf("%s sets %q, want %q", name, seen[name], key)
		}
	}
}

func TestTheEnvironmentSetsKeysThatTheFileDoesNotHave(t *testing.T) {
	got := mustLoad(t, "tokens: { issuer: me }",
		"GATEHOUSE_SERVER_LISTEN=127.0.0.1:81",
		"GATEHOUSE_SERVER_MAX_BODY=1MiB",
		"GATEHOUSE_SERVER_IDLE_TIMEOUT=1d",
		"GATEHOUSE_SERVER_TRUSTED_PROXIES=10.0.0.0/8, ::1",
		"GATEHOUSE_IDENTITY_FORWARD_TOKEN=true",
		"GATEHOUSE_LOGIN_HASHING_MAX_QUEUE=7",
		"GATEHOUSE_TOKENS_AUDIENCE=one",
		"PATH=/bin",
		"gatehouse_server_listen=x",
	).File
	want := Defaults()
	want.Tokens.Issuer = "me"
	want.Tokens.Audience = tokens.Audience{Names: []string{"one"}, Plain: true}
	want.Server.Listen = []string{"127.0.0.1:81"}
	want.Server.MaxBody = proxy.MiB
	want.Server.IdleTimeout = 24 * time.Hour
	want.Server.TrustedProxies = []string{"10.0.0.0/8", "::1"}
	want.Identity.ForwardToken = true
	want.Login.Hashing.MaxQueue = 7
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestAListOfTheEnvironmentReplacesThatOfTheFile(t *testing.T) {
	got := mustLoad(t, "tokens: { header_types: [a, b, c] }", "GATEHOUSE_TOKENS_HEADER_TYPES=d").Tokens.HeaderTypes
	if diff := cmp.Diff([]string{"d"}, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestOneAudienceOrSeveral(t *testing.T) {
	for _, c := range []struct {
		name, yaml, environment string
		want                    tokens.Audience
	}{
		{"a name", "audience: one", "", tokens.Audience{Names: []string{"one"}, Plain: true}},
		{"a list of one", "audience: [one]", "", tokens.Audience{Names: []string{"one"}}},
		{"a list", "audience: [one, two]", "", tokens.Audience{Names: []string{"one", "two"}}},
		{"an empty list", "audience: []", "", tokens.Audience{}},
		{"nothing", "issuer: me", "", tokens.Audience{}},
		{"a name with a comma", `audience: "one,two"`, "", tokens.Audience{Names: []string{"one,two"}, Plain: true}},
		{"one of the environment", "audience: [a, b]", "one", tokens.Audience{Names: []string{"one"}, Plain: true}},
		{"several of the environment", "audience: a", "one, two", tokens.Audience{Names: []string{"one", "two"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mustLoad(t, "tokens: { "+c.yaml+" }", "GATEHOUSE_TOKENS_AUDIENCE="+c.environment).Tokens.Audience
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
	for _, wrong := range []string{"audience: { a: b }", "audience: [a, [b]]", "audience: [a, ~]", "audience: ~"} {
		if _, err := Load(Input{Path: write(t, "tokens: { "+wrong+" }")}); err == nil {
			t.Errorf("%s is accepted", wrong)
		}
	}
}

func TestVariablesThatSetNothing(t *testing.T) {
	for _, assignment := range []string{
		"GATEHOUSE_CONFIG=/etc/x.yaml",
		"GATEHOUSE_TEST_REQUIRE=1",
		"GATEHOUSE_SERVER_LISTEN=", // how container tools write "nothing"
		// Kubernetes, beside services called gatehouse and gatehouse-admin.
		"GATEHOUSE_SERVICE_HOST=10.0.0.1",
		"GATEHOUSE_SERVICE_PORT=8080",
		"GATEHOUSE_SERVICE_PORT_HTTP=8080",
		"GATEHOUSE_PORT=tcp://10.0.0.1:8080",
		"GATEHOUSE_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"GATEHOUSE_PORT_8080_TCP_PROTO=tcp",
		"GATEHOUSE_PORT_8080_TCP_ADDR=10.0.0.1",
		"GATEHOUSE_ADMIN_SERVICE_HOST=10.0.0.2",
	} {
		t.Run(assignment, func(t *testing.T) {
			want := Defaults()
			want.Tokens.Issuer = "me"
			if diff := cmp.Diff(want, mustLoad(t, "tokens: { issuer: me }", assignment).File); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestWhatTheEnvironmentCannotSay(t *testing.T) {
	for _, test := range []struct{ name, assignment, want string }{
		{"a misspelled setting", "GATEHOUSE_SERVER_LISTN=:1", "GATEHOUSE_SERVER_LISTN: there is no such setting; did you mean GATEHOUSE_SERVER_LISTEN?"},
		{"nothing of ours", "GATEHOUSE_COLOR_OF_THE_DOOR=red", "GATEHOUSE_COLOR_OF_THE_DOOR: there is no such setting; unset it"},
		{"no bool", "GATEHOUSE_IDENTITY_FORWARD_TOKEN=yes", `GATEHOUSE_IDENTITY_FORWARD_TOKEN: identity.forward_token: is "yes"; write true`},
		{"no number", "GATEHOUSE_LOGIN_HASHING_MAX_QUEUE=many", `GATEHOUSE_LOGIN_HASHING_MAX_QUEUE: login.hashing.max_queue: is "many"; write a whole number`},
		{"no unit", "GATEHOUSE_TOKENS_LEEWAY=5", `GATEHOUSE_TOKENS_LEEWAY: tokens.leeway: is "5", which has no unit; write a number and a unit: 1500ms, 30s, 5m, 24h or 7d`},
		{"a hole in a list", "GATEHOUSE_TOKENS_AUDIENCE=a,,b", "GATEHOUSE_TOKENS_AUDIENCE: tokens.audience: element 2 of the list is empty; write values with one comma between them"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "tokens: { issuer: me }")
			_, err := Load(Input{Path: path, Environ: []string{test.assignment}})
			if diff := cmp.Diff([]string{test.want}, faultsOf(t, err, path)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestASecretFromAFile(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"without newline":         {secret, secret},
		"with a newline":          {secret + "\n", secret},
		"with a Windows newline":  {secret + "\r\n", secret},
		"with two newlines":       {secret + "\n\n", secret + "\n"},
		"with a carriage return":  {secret + "\r", secret + "\r"},
		"with spaces at its ends": {" " + secret + " \n", " " + secret + " "},
		"with bytes that are no text": {
			"\x00\xff" + secret, "\x00\xff" + secret,
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "tokens: { keys: [{ kid: a, secret_file: jwt }] }")
			writeSecret(t, filepath.Join(filepath.Dir(path), "jwt"), test.content)
			loaded, err := Load(Input{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			if got := loaded.Tokens.Keys[0].Secret; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if diff := cmp.Diff([]string{path, filepath.Join(filepath.Dir(path), "jwt")}, loaded.Read); diff != "" {
				t.Errorf("files read: want -, got +:\n%s", diff)
			}
		})
	}
}

func TestAFileNamedInTheEnvironmentIsFoundFromTheWorkingDirectory(t *testing.T) {
	path := write(t, "tokens: { issuer: me }\nstore: { dsn: /from/the/file.db }")
	t.Chdir(t.TempDir())
	writeSecret(t, "dsn", "/from/the/environment.db\n")
	loaded, err := Load(Input{Path: path, Environ: []string{"GATEHOUSE_STORE_DSN_FILE=dsn"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded.Store.DSN; got != "/from/the/environment.db" {
		t.Errorf("got %q: the environment is stronger than the file, whichever twin it uses", got)
	}
}

func TestAPlainValueOfTheEnvironmentBeatsAFileOfTheFile(t *testing.T) {
	loaded := mustLoad(t, "store: { dsn_file: /does/not/exist }", "GATEHOUSE_STORE_DSN=/x.db")
	if loaded.Store.DSN != "/x.db" || loaded.Store.DSNFile != "" {
		t.Errorf("got %+v", loaded.Store)
	}
}

func TestASecretFileThatCannotBeUsed(t *testing.T) {
	path := write(t, `
tokens:
  keys:
    - { kid: a, secret_file: none }
    - { kid: b, secret_file: empty }
    - { kid: c, secret_file: newline }
    - { kid: d, secret_file: . }
    - { kid: e, secret_file: large }
    - { kid: f, secret_file: "" }
    - { kid: g, secret_file: fine, secret: also }
store: { dsn: a, dsn_file: b }
`)
	dir := filepath.Dir(path)
	for name, content := range map[string]string{"empty": "", "newline": "\n", "fine": secret, "large": string(make([]byte, maxSecret+1))} {
		writeSecret(t, filepath.Join(dir, name), content)
	}
	_, err := Load(Input{Path: path})
	want := []string{
		"gatehouse.yaml:4: tokens.keys[0].secret_file: none cannot be read: no such file or directory; create the file, or correct its path or rights",
		"gatehouse.yaml:5: tokens.keys[1].secret_file: empty is empty; write the value into it",
		"gatehouse.yaml:6: tokens.keys[2].secret_file: newline is empty; write the value into it",
		"gatehouse.yaml:7: tokens.keys[3].secret_file: " + dir + " cannot be read: it is a directory; create the file, or correct its path or rights",
		"gatehouse.yaml:8: tokens.keys[4].secret_file: large is larger than 1 MiB; name the file that holds this one value",
		"gatehouse.yaml:9: tokens.keys[5].secret_file: names no file; write its path, or delete the line",
		"gatehouse.yaml:10: tokens.keys[6].secret_file: is set beside tokens.keys[6].secret; keep one of them",
		"gatehouse.yaml:11: store.dsn_file: is set beside store.dsn; keep one of them",
	}
	if diff := cmp.Diff(want, faultsOf(t, err, path)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestBothTwinsInTheEnvironment(t *testing.T) {
	path := write(t, "tokens: { issuer: me }")
	_, err := Load(Input{Path: path, Environ: []string{"GATEHOUSE_STORE_DSN=a", "GATEHOUSE_STORE_DSN_FILE=b"}})
	want := []string{"GATEHOUSE_STORE_DSN_FILE: store.dsn_file: is set beside GATEHOUSE_STORE_DSN; keep one of them"}
	if diff := cmp.Diff(want, faultsOf(t, err, path)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestASecretFileWithoutRights(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	path := write(t, "store: { dsn_file: dsn }")
	writeSecret(t, filepath.Join(filepath.Dir(path), "dsn"), "x")
	if err := os.Chmod(filepath.Join(filepath.Dir(path), "dsn"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Input{Path: path})
	want := []string{"gatehouse.yaml:1: store.dsn_file: dsn cannot be read: permission denied; create the file, or correct its path or rights"}
	if diff := cmp.Diff(want, faultsOf(t, err, path)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}
