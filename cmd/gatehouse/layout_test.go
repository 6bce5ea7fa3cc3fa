package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says which packages of ours each package may import. Imports run down
// only: cmd → proxy → tokens → users. If a change wants an arrow upwards, the idea
// is in the wrong room.
var rooms = map[string][]string{
	"users/password":           {"users/password/worker"},
	"users/password/worker":    nil,
	"users/rate":               nil,
	"users":                    {"users/password", "users/rate"},
	"users/userstest":          {"users", "users/password", "users/userstest/postgres"},
	"users/userstest/postgres": {"users/userstest/port"},
	"users/userstest/port":     nil,
	"tokens/keys":              nil,
	"tokens/drf":               nil,
	"tokens/remote":            {"tokens/keys"},
	"tokens":                   {"tokens/keys", "tokens/drf", "tokens/remote", "users", "users/rate", "users/password"},
	"proxy/route":              {"users/rate"},
	"proxy/cors":               nil,
	"proxy/identity":           {"tokens/keys"},
	"proxy/upstream":           {"proxy/socket", "proxy/upstream/wire"},
	"proxy/upstream/wire":      {"proxy/socket"},
	"proxy/socket":             nil,
	"proxy":                    {"proxy/route", "proxy/cors", "proxy/identity", "proxy/upstream", "tokens", "tokens/drf", "users/rate"},

	// Tests of several processes, and nothing else.
	"cmd/gatehouse/internal/cluster": nil,

	// For the Config types alone.
	"cmd/gatehouse/internal/config": {
		"cmd/gatehouse/internal/audit",
		"cmd/gatehouse/internal/tracing",
		"proxy", "proxy/route", "proxy/cors", "proxy/identity", "proxy/upstream", "tokens", "tokens/keys", "users", "users/password", "users/rate",
	},
	"cmd/gatehouse/internal/audit": nil,
	// A program of its own that measures the other one.
	"cmd/gatehouse/internal/bench": {"tokens/keys", "users/password", "users/userstest/port"},
	"cmd/gatehouse/internal/edge":  {"proxy", "proxy/socket", "users/rate"},
	// It sends spans, and knows nothing of us.
	"cmd/gatehouse/internal/tracing": nil,
	// It asks backends, and knows nothing of us.
	"cmd/gatehouse/internal/probe": nil,
	"cmd/gatehouse": {
		"cmd/gatehouse/internal/audit", "cmd/gatehouse/internal/config", "cmd/gatehouse/internal/edge", "cmd/gatehouse/internal/probe", "cmd/gatehouse/internal/tracing", "proxy", "proxy/route", "proxy/cors", "proxy/identity", "proxy/upstream",
		"tokens", "tokens/keys", "tokens/drf", "users", "users/password", "users/rate",
	},
}

// alone says which rooms may import a package of others: what is dangerous in many
// hands, or would let one room's concern spread.
var alone = []struct {
	imported string // itself and all below
	rooms    []string
	because  string
}{
	{"database/sql", []string{"users", "users/userstest"}, "only users remembers"},
	{"modernc.org/sqlite", []string{"users", "users/userstest"}, "only users remembers"},
	{"github.com/jackc/pgx", []string{"users", "users/userstest", "users/userstest/postgres"}, "only users remembers"},
	{"github.com/pressly/goose", []string{"users"}, "only users remembers"},
	{"golang.org/x/crypto", []string{"users/password", "cmd/gatehouse/internal/edge"}, "passwords are hashed in one place, certificates obtained in another"},
	{"github.com/golang-jwt", []string{"tokens", "tokens/keys"}, "tokens are read in one place"},
	{"github.com/MicahParks", []string{"tokens/remote"}, "keys of others are read in one place"},
	{"go.opentelemetry.io/otel/sdk", []string{"cmd/gatehouse/internal/tracing"}, "rooms begin spans, and do not know where they go"},
	{"go.opentelemetry.io/proto", []string{"cmd/gatehouse/internal/tracing"}, "spans are sent from one place"},
	{"net/http/httputil", []string{"proxy", "cmd/gatehouse/internal/bench"}, "requests are forwarded in one place"},
	{"github.com/spf13/viper", []string{"cmd/gatehouse/internal/config"}, "its folding of keys must not reach the rooms"},
	{"github.com/go-viper", []string{"cmd/gatehouse/internal/config"}, "its folding of keys must not reach the rooms"},
	{"go.yaml.in/yaml", []string{"cmd/gatehouse/internal/config"}, "no room depends on how the file is written"},
	{"github.com/spf13/cobra", []string{"cmd/gatehouse"}, "rooms do not speak"},
	{"os/signal", []string{"cmd/gatehouse", "cmd/gatehouse/internal/bench"}, "rooms are told when to stop"},
	{"flag", []string{"cmd/gatehouse/internal/bench"}, "cobra has the flags"},
	{"log", []string{"proxy"}, "logs are slog; the standard library wants a log.Logger for a reverse proxy"},
	{"math/rand", nil, "predictable; use crypto/rand"},
	{"unsafe", []string{"proxy/socket"}, "it is worth it for system calls that do not wait, and for nothing else"},
}

// pure rooms can be explained and fuzzed without a network.
var pure = []string{"proxy/route", "tokens/keys", "users/password", "users/rate"}

func TestWhoMayImportWhom(t *testing.T) {
	const root = "../.."
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".."):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		room := path.Dir(filepath.ToSlash(relative))
		seen[room] = true
		if _, ok := rooms[room]; !ok {
			t.Errorf("%s: the room %s is not in the plan; add it to the table with what it may import", relative, room)
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := forbidden(room, imported); why != "" {
				t.Errorf("%s imports %s: %s", relative, imported, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("the room %s is in the plan and not in the house", room)
		}
	}
}

// forbidden says why a room must not import a package, or "".
func forbidden(room, imported string) string {
	if ours, ok := strings.CutPrefix(imported, "gatehouse/"); ok {
		if !slices.Contains(rooms[room], ours) {
			return room + " may import " + strings.Join(rooms[room], ", ") + " alone; imports run down: cmd, proxy, tokens, users"
		}
		return ""
	}
	for _, rule := range alone {
		if imported != rule.imported && !strings.HasPrefix(imported, rule.imported+"/") || slices.Contains(rule.rooms, room) {
			continue
		}
		if rule.imported == "log" && imported != "log" {
			continue // log/slog
		}
		return rule.because
	}
	if slices.Contains(pure, room) && (imported == "net/http" || strings.HasPrefix(imported, "net/http/")) {
		return "a pure room knows no network"
	}
	return ""
}

func TestTheTableOfRoomsRefuses(t *testing.T) {
	for _, test := range []struct{ room, imported string }{
		{"users", "gatehouse/tokens"},
		{"tokens", "gatehouse/proxy"},
		{"proxy", "gatehouse/cmd/gatehouse/internal/config"},
		{"proxy/route", "gatehouse/users"},
		{"proxy/route", "net/http"},
		{"proxy", "database/sql"},
		{"tokens", "database/sql/driver"},
		{"cmd/gatehouse", "github.com/spf13/viper"},
		{"users", "log"},
		{"tokens", "math/rand/v2"},
	} {
		if forbidden(test.room, test.imported) == "" {
			t.Errorf("%s may import %s", test.room, test.imported)
		}
	}
	for _, test := range []struct{ room, imported string }{
		{"proxy", "gatehouse/tokens"}, {"users", "log/slog"}, {"users", "database/sql"}, {"proxy", "net/http/httputil"}, {"cmd/gatehouse", "os/signal"},
	} {
		if why := forbidden(test.room, test.imported); why != "" {
			t.Errorf("%s may not import %s: %s", test.room, test.imported, why)
		}
	}
}
