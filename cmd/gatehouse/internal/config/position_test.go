package config

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// roomFault is what the rooms return: they know their section, not the file.
type roomFault struct{ field, also, problem string }

func (f *roomFault) Error() string { return f.problem }
func (f *roomFault) Field() string { return f.field }
func (f *roomFault) Also() string  { return f.also }

func TestFaultsOfTheRoomsGetTheirLines(t *testing.T) {
	path := write(t, `server:
  listen: ":80"
tokens:
  keys:
    - kid: a
      secret: short
identity:
  headers:
    X-User-Id: nobody
upstreams:
  App: { url: nonsense }
routes:
  - path: /a
    to: App
  - rules:
      - path: /b
`)
	loaded, err := Load(Input{Path: path, Environ: []string{"GATEHOUSE_STORE_DSN=/x", "GATEHOUSE_TOKENS_LEEWAY=1h"}})
	if err != nil {
		t.Fatal(err)
	}
	loaded.Blame("tokens", fmt.Errorf("tokens: %w", errors.Join(
		&roomFault{field: "leeway", problem: "is too long"},
		&roomFault{field: "keys[0].secret", problem: "is too short"},
		fmt.Errorf("keys: %w", &roomFault{field: "keys[0].use", problem: "is unknown"}),
	)))
	loaded.Blame("", fmt.Errorf("proxy: %w", errors.Join(
		&roomFault{field: "routes[1].rules[0].path", also: "routes[0].path", problem: "ties"},
		&roomFault{field: "routes[1].to", problem: "is missing"},
		&roomFault{field: "upstreams.App.url", problem: "is no URL"},
		&roomFault{field: "identity.headers.x-user-id", problem: "has no source"},
		&roomFault{field: "server.listen", problem: "is in use"},
		errors.New("a consequence of the others"),
	)))
	loaded.Blame("store", &roomFault{field: "dsn", problem: "cannot be written"})
	loaded.Blame("login", nil)
	want := []string{
		"gatehouse.yaml:2: server.listen: is in use",
		"gatehouse.yaml:5: tokens.keys[0].use: is unknown",
		"gatehouse.yaml:6: tokens.keys[0].secret: is too short",
		"gatehouse.yaml:9: identity.headers.x-user-id: has no source",
		"gatehouse.yaml:11: upstreams.App.url: is no URL",
		"gatehouse.yaml:15: routes[1].to: is missing",
		"gatehouse.yaml:16: routes[1].rules[0].path: ties (gatehouse.yaml:13: routes[0].path)",
		"GATEHOUSE_TOKENS_LEEWAY: tokens.leeway: is too long",
		"GATEHOUSE_STORE_DSN: store.dsn: cannot be written",
	}
	if diff := cmp.Diff(want, faultsOf(t, loaded.Err(), path)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestAFaultOfAKeyThatIsNowhere(t *testing.T) {
	path := write(t, "server: {}\n")
	loaded, err := Load(Input{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	loaded.Blame("tokens", &roomFault{field: "keys", problem: "no key"})
	if diff := cmp.Diff([]string{"gatehouse.yaml: tokens.keys: no key"}, faultsOf(t, loaded.Err(), path)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestAnErrorWithoutAKeyIsToldWhereNothingElseIsWrong(t *testing.T) {
	path := write(t, "server: {}\n")
	loaded, err := Load(Input{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	loaded.Blame("store", errors.New("the disk is full"))
	if diff := cmp.Diff([]string{"gatehouse.yaml: store: the disk is full"}, faultsOf(t, loaded.Err(), path)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestARoomDoesNotRepeatWhatTheLoaderFound(t *testing.T) {
	path := write(t, `tokens:
  keys:
    - scret: misspelled
    - secret: [not, text]
    - secret_file: missing
routes:
  - { to: app, auth: [x] }
`)
	loaded, _ := Load(Input{Path: path})
	before := len(loaded.Err().(Faults)) //nolint:errorlint // it is one, or the test fails
	loaded.Blame("tokens", errors.Join(
		&roomFault{field: "keys[0].secret", problem: "no secret"},
		&roomFault{field: "keys[1].secret", problem: "no secret"},
		&roomFault{field: "keys[2].secret", problem: "no secret"},
		&roomFault{field: "keys[2]", problem: "no secret"},
	))
	loaded.Blame("", &roomFault{field: "routes[0].auth.groups", problem: "no groups"})
	if diff := cmp.Diff(before, len(loaded.Err().(Faults))); diff != "" { //nolint:errorlint // as above
		t.Errorf("want -, got +:\n%s\n%v", diff, loaded.Err())
	}
	loaded.Blame("", &roomFault{field: "routes[0].to", problem: "no such upstream"})
	if got := len(loaded.Err().(Faults)); got != before+1 { //nolint:errorlint // as above
		t.Errorf("got %d faults, want %d: another key is another fault", got, before+1)
	}
}
