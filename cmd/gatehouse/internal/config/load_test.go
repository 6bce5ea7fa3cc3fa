package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens/keys"
)

// secret is long enough for HS256, and easy to find where it must not be.
const secret = "Ahn7ohv9ooTh3aiPhoh2eeTh5aiquaiM"

// write puts a configuration into a directory of its own and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	writeSecret(t, path, text)
	return path
}

func writeSecret(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustLoad loads what has no fault.
func mustLoad(t *testing.T, text string, environ ...string) *Loaded {
	t.Helper()
	loaded, err := Load(Input{Path: write(t, text), Environ: environ})
	if err != nil {
		t.Fatalf("got faults:\n%v", err)
	}
	return loaded
}

// faultsOf returns the lines of the error without the directory of the file.
func faultsOf(t *testing.T, err error, path string) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %T (%v), want Faults", err, err)
	}
	return strings.Split(strings.ReplaceAll(faults.Error(), filepath.Dir(path)+"/", ""), "\n")
}

func ptr[T any](v T) *T { return &v }

func TestEverythingThatAFileCanSay(t *testing.T) {
	got := mustLoad(t, `
server:
  listen: "127.0.0.1:9000"
  trusted_proxies: [10.0.0.0/8, "192.0.2.1"]
  max_header_bytes: 16KiB
  max_body: 1048576
  read_header_timeout: 5s
  drain: { delay: 500ms, timeout: 1m30s }
store:
  dsn: /data/g.db
login:
  hashing: { max_parallel: 2 }
identity:
  headers:
    X-User-Id: user_id
    X-Dept: { claim: [profile, department], default: "" }
    X-Level: { claim: level, join: ";" }
  also_strip: X-Remote-*
  forward_token: true
tokens:
  refresh_lifetime: 7d
  audience: [one, two]
  keys:
    - { kid: 2026, alg: HS256, secret: `+secret+`, until: 2026-12-31 }
upstreams:
  CRM: { url: "http://crm:8000", timeouts: { connect: 2s, first_byte: 0 } }
routes:
  - host: crm.example.com
    to: CRM
    auth: { groups: staff }
    rules:
      - { path: /static/*, auth: public, methods: [GET] }
`).File
	want := Defaults()
	want.Server.Listen = []string{"127.0.0.1:9000"}
	want.Server.TrustedProxies = []string{"10.0.0.0/8", "192.0.2.1"}
	want.Server.MaxHeaderBytes = 16 * proxy.KiB
	want.Server.MaxBody = proxy.MiB
	want.Server.ReadHeaderTimeout = 5 * time.Second
	want.Server.Drain = proxy.Drain{Delay: 500 * time.Millisecond, Timeout: 90 * time.Second, Streams: 5 * time.Second}
	want.Store.DSN = "/data/g.db"
	want.Login.Hashing.MaxParallel = "2"
	want.Identity = identity.Config{
		Headers: map[string]identity.Source{
			"X-User-Id": {Word: "user_id"},
			"X-Dept":    {Claim: []string{"profile", "department"}, Default: ptr("")},
			"X-Level":   {Claim: []string{"level"}, Join: ";"},
		},
		AlsoStrip:    []string{"X-Remote-*"},
		ForwardToken: true,
	}
	want.Tokens.RefreshLifetime = 7 * 24 * time.Hour
	want.Tokens.Audience.Names = []string{"one", "two"}
	want.Tokens.Keys = []keys.Config{{ID: "2026", Algorithm: "HS256", Secret: secret, Until: "2026-12-31"}}
	want.Upstreams = map[string]upstream.Config{
		"CRM": {URL: "http://crm:8000", Timeouts: upstream.Timeouts{Connect: ptr(2 * time.Second), FirstByte: ptr(time.Duration(0))}},
	}
	want.Routes = []route.Config{{
		Host: []string{"crm.example.com"}, To: "CRM", Auth: route.Auth{Groups: []string{"staff"}},
		Rules: []route.RuleConfig{{Path: "/static/*", Methods: []string{"GET"}, Auth: route.Auth{Word: "public"}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestWhatIsNotSaidIsTheDefault(t *testing.T) {
	for name, text := range map[string]string{
		"one key elsewhere":                 "tokens: { issuer: me }",
		"sections whose keys are commented": "tokens:\n  issuer: me\nserver:\n  # listen: x\nupstreams:\nroutes:\nidentity:\n  headers:\n",
	} {
		t.Run(name, func(t *testing.T) {
			want := Defaults()
			want.Tokens.Issuer = "me"
			if diff := cmp.Diff(want, mustLoad(t, text).File); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestAnEmptyMapIsNotNothing(t *testing.T) {
	got := mustLoad(t, "identity: { headers: {} }").Identity.Headers
	if got == nil || len(got) != 0 {
		t.Errorf("got %#v, want an empty map: no headers are wanted", got)
	}
}

func TestFlagsBeatTheEnvironmentWhichBeatsTheFile(t *testing.T) {
	path := write(t, "server: { listen: 'file:1', max_body: 1 }\ntokens: { issuer: file }")
	loaded, err := Load(Input{
		Path:    path,
		Environ: []string{"GATEHOUSE_SERVER_LISTEN=env:2", "GATEHOUSE_TOKENS_ISSUER=env"},
		Flags:   map[string]Flag{"server.listen": {Name: "--listen", Value: "flag:3"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{loaded.Server.Listen[0], loaded.Tokens.Issuer, loaded.Server.MaxBody, loaded.Tokens.BasePath}
	want := []any{"flag:3", "env", proxy.Bytes(1), "/api/token"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestOnlyTheSectionsThatAreWantedAreLookedAt(t *testing.T) {
	path := write(t, `
store: { dsn: /data/g.db }
tokens: { keys: [{ kid: a, secret_file: /does/not/exist, color: red }] }
routes: 7
`)
	loaded, err := Load(Input{Path: path, Environ: []string{"GATEHOUSE_SERVER_MAX_BODY=huge"}, Only: []string{"store", "login"}})
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Store.DSN != "/data/g.db" {
		t.Errorf("got dsn %q", loaded.Store.DSN)
	}
	// A misspelled section would silently be the default, and so another database.
	path = write(t, "stroe: { dsn: /data/g.db }")
	_, err = Load(Input{Path: path, Only: []string{"store", "login"}})
	want := []string{"gatehouse.yaml:1: stroe: there is no such key; did you mean store?"}
	if diff := cmp.Diff(want, faultsOf(t, err, path)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestARelativeDatabaseIsBesideTheFileThatNamesIt(t *testing.T) {
	path := write(t, "store: { dsn: data/g.db }")
	for _, test := range []struct{ name, environ, want string }{
		{"said in the file", "", filepath.Join(filepath.Dir(path), "data/g.db")},
		{"said in the environment", "GATEHOUSE_STORE_DSN=data/g.db", "data/g.db"},
	} {
		t.Run(test.name, func(t *testing.T) {
			loaded, err := Load(Input{Path: path, Environ: []string{test.environ}})
			if err != nil || loaded.Store.DSN != test.want {
				t.Errorf("got %q, %v; want %q", loaded.Store.DSN, err, test.want)
			}
		})
	}
}

func TestAFileThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "no such file or directory",
		dir:                             "it is a directory",
	} {
		loaded, err := Load(Input{Path: path})
		if loaded != nil || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Load(%s) = %v, %v; want an error with %q", path, loaded, err, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	path := write(t, "tokens: { keys: [{ kid: a, secret: "+secret+" }, { kid: b, private_key: "+secret+" }, { kid: c, public_key: "+secret+" }] }\nupstreams:\n  app: { url: http://a }\n  old: { url: http://b }\nroutes: [{ to: app }]\n")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(Input{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"gatehouse.yaml:1: tokens.keys[0].secret: everybody on this machine may read this file; use secret_file, or run chmod 0640 gatehouse.yaml",
		"gatehouse.yaml:1: tokens.keys[1].private_key: everybody on this machine may read this file; use private_key_file, or run chmod 0640 gatehouse.yaml",
		"gatehouse.yaml:4: upstreams.old: no route leads here; add one with `to: old`, or delete it",
	}
	if diff := cmp.Diff(want, faultsOf(t, loaded.Warnings, path)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// Of what a claim is compared with it matters how it is written.
func TestValuesOfClaimsKeepTheirTypes(t *testing.T) {
	claims := mustLoad(t, `
routes:
  - auth:
      claims:
        - { claim: a, in: [seven, "7", 7, 7.5, true, "true", yes, 2026-12-31] }
        - { claim: [a, https://x/roles], equals: false }
        - { name: b, in: one }
`).Routes[0].Auth.Claims
	for i, claim := range []any{"seven", "7", route.Number("7"), route.Number("7.50"), true, "true", "yes", "2026-12-31"} {
		for j, value := range claims[0].In {
			if value.Equals(claim) != (i == j) {
				t.Errorf("%v equals %v is %v", value, claim, value.Equals(claim))
			}
		}
	}
	if !claims[1].Equals.Equals(false) || claims[1].Equals.Equals("false") || len(claims[1].Claim) != 2 || claims[1].Claim[1] != "https://x/roles" {
		t.Errorf("got %+v", claims[1])
	}
	if len(claims[2].In) != 1 || !claims[2].In[0].Equals("one") || claims[2].Name[0] != "b" {
		t.Errorf("got %+v", claims[2])
	}
}
