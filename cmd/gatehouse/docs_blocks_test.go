package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// docBlock is one fenced block of a document.
type docBlock struct {
	page string // relative to the root of the repository
	line int
	lang string
	text string
}

// first names a block of a page: its first line.
func (b docBlock) first() string {
	line, _, _ := strings.Cut(b.text, "\n")
	return line
}

func (b docBlock) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

var fence = regexp.MustCompile("(?ms)^([ \t]*)```([a-z]*)[^\n]*\n(.*?)^[ \t]*```")

// blocks finds all of a language in the README and the documents.
func blocks(t *testing.T, langs ...string) []docBlock {
	t.Helper()
	pages := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../docs/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	var all []docBlock
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range fence.FindAllSubmatchIndex(text, -1) {
			if lang := string(text[at[4]:at[5]]); slices.Contains(langs, lang) {
				all = append(all, docBlock{strings.TrimPrefix(page, "../../"), bytes.Count(text[:at[0]], []byte("\n")) + 1, lang, outdent(string(text[at[6]:at[7]]))})
			}
		}
	}
	return all
}

var shells = []string{"sh", "bash", "shell", "console"}

// What needs another machine, or changes this one. Each is parsed all the same, and each
// command of gatehouse in it held against the program.
var cannotRun = map[string]string{ // page: first line
	"README.md: go run ./cmd/gatehouse demo":          "runs until it is stopped; TestDemoLinesInAShell runs it",
	"README.md: go test ./...":                        "is what runs this",
	"README.md: docker build -t gatehouse .":          "needs Docker; .ci/image builds and runs the image",
	"docs/container.md: docker build -t gatehouse .":  "needs Docker; .ci/image builds and runs the image",
	"docs/container.md: docker network create inside": "needs Docker",
	"docs/container.md: docker exec -i gatehouse gatehouse user add alice --password-stdin < alice_password":                                                  "needs Docker",
	"docs/container.md: docker run -d -p 8080:8080 -v gatehouse:/var/lib/gatehouse \\":                                                                        "needs Docker",
	"docs/container.md: cd docs/deploy/compose":                                                                                                               "needs Docker",
	"docs/deploy.md: install -m 0755 gatehouse /usr/local/bin/":                                                                                               "writes into /etc and needs systemd as process 1; TestTheUnitIsASandbox verifies the unit",
	"docs/deploy.md: docker buildx build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --output type=docker,rewrite-timestamp=true -t gatehouse .": "needs Docker; .ci/image compares two builds",
	"docs/deploy.md: cp docs/deploy/systemd/gatehouse.socket /etc/systemd/system/":                                                                            "writes into /etc and needs systemd as process 1; TestTheUnitIsASandbox verifies it",
	"docs/deploy.md: install -D -m 0644 -t /usr/local/share/man/man1 docs/man/*.1":                                                                            "writes into the system; TestCompletion and TestDocumentedManPages try what it installs",
	"docs/development.md: go test ./...":                                                                                                                      "is what runs this",
	"docs/development.md: .ci/run":                                                                                                                            "is what runs this",
	"docs/development.md: go test ./cmd/gatehouse/internal/cluster -run '^TestSoak$' -soak 10m -v -timeout 0":                                                 "takes minutes",
	"docs/development.md: go test ./proxy/route -run '^$' -fuzz '^FuzzCanonical$' -fuzztime 60s":                                                              "takes a minute; .ci/run fuzzes all targets",
	"docs/development.md: go test ./proxy -run '^$' -bench 'HTTP|Bare' -benchmem -count 6":                                                                    "takes minutes",
	"docs/performance.md: go run ./cmd/gatehouse/internal/bench                                    # everything, some minutes":                                "takes minutes; the program has tests of its own",
	"docs/performance.md: printf '#!/bin/sh\\nGATEHOUSE_LOG_LEVEL=warn exec /tmp/gatehouse \"$@\"\\n' > /tmp/quiet && chmod +x /tmp/quiet":                    "takes minutes",
	"docs/performance.md: go test ./proxy/... ./tokens/... -run '^$' -bench . -benchmem":                                                                      "takes minutes",
	"docs/quickstart.md: go run ./cmd/gatehouse demo":                                                                                                         "runs until it is stopped; TestDemoLinesInAShell runs it",
	`docs/django.md: python manage.py shell -v 0 -c 'import json; from django.conf import settings as s; j = dict(getattr(s, "SIMPLE_JWT", {})); j["SIGNING_KEY"] = "x" * len(j.get("SIGNING_KEY", s.SECRET_KEY) or ""); print(json.dumps(j, default=str))' > simple_jwt.json`: "needs a Django site; TestTheLineThatWritesSettingsWorks runs it in one",
	"docs/django.md: gatehouse import django --from sqlite:///srv/site/db.sqlite3 --with-tokens --dry-run":                                           "needs a Django site; TestDjangoMovesInAndOutOfTheProgram runs it in one",
	"docs/django.md: gatehouse import django --from-file site.url --with-tokens --dry-run    # postgres://site:PASSWORD@db/site?sslmode=verify-full": "needs a Django site on PostgreSQL; the tests of users read one",
	"docs/django.md: gatehouse import django --from dump.json --user-model shop.customer \\":                                                         "needs a site with a user model of its own; the tests of users read one",
	"docs/high-availability.md: gatehouse store copy --from sqlite:/var/lib/gatehouse/gatehouse.db --to-file /run/secrets/gatehouse_dsn --dry-run":   "needs PostgreSQL; the tests of users copy to one",
}

// edit is what a test does otherwise than the document says, and why.
type edit struct{ from, to string }

// runs says with which edits a block is run, in a directory with what prepare makes.
var runs = map[string][]edit{
	"README.md: go build -o gatehouse ./cmd/gatehouse": {
		{"go build -o gatehouse ./cmd/gatehouse", `cp "$BINARY" gatehouse`},
		{"user add alice --config gatehouse.yaml", "user add bob --config gatehouse.yaml --password-stdin < password.txt"}, // alice is there already
		{"./gatehouse serve --config gatehouse.yaml         # on :8080", "serve_and_stop ./gatehouse serve --config gatehouse.yaml --listen 127.0.0.1:0"},
	},
	"README.md: ./gatehouse explain GET https://app.example.com/admin/ --user alice --config gatehouse.yaml": {},
	"README.md: gatehouse user add alice --email alice@example.com --group staff    # asks for the password": {
		{"gatehouse user add alice --email alice@example.com --group staff", "gatehouse user delete alice; gatehouse user add alice --email alice@example.com --group staff --password-stdin < password.txt"},
		{"gatehouse user passwd alice", "gatehouse user passwd alice --password-stdin < password.txt"},
	},
	"docs/backends.md: gatehouse doctor --probe crm --path /admin/ --user alice": {{"http://127.0.0.1:8000", "http://$BACKEND"}},
	"docs/deploy.md: gatehouse user add alice --config /etc/gatehouse/gatehouse.yaml": {
		{"user add alice --config /etc/gatehouse/gatehouse.yaml", "user add bob --config gatehouse.yaml --password-stdin < password.txt"},
	},
	"docs/django.md: gatehouse import django --settings simple_jwt.json > gatehouse.yaml": {{"> gatehouse.yaml", "> tokens.yaml"}},
	"docs/django.md: umask 077": {{"manage.py dumpdata auth.group auth.user token_blacklist --output dump.json", "test -s dump.json"}},
	"docs/django.md: gatehouse import django --from dump.json --check alice            # asks for it": {
		{"--check alice", "--check alice --password-stdin < password.txt"},
	},
	"docs/django.md: gatehouse store export-django --to users.json": {{"manage.py loaddata users.json", "test -s users.json"}},
	"docs/quickstart.md: go build -o gatehouse ./cmd/gatehouse":     {{"go build -o gatehouse ./cmd/gatehouse", `cp "$BINARY" gatehouse`}},
	"docs/quickstart.md: ./gatehouse user add alice --group staff --config site/gatehouse.yaml": {
		{"user add alice --group staff", "user add alice --group staff --password-stdin < password.txt"},
	},
	"docs/quickstart.md: ./gatehouse serve --config site/gatehouse.yaml": {
		{"./gatehouse serve --config site/gatehouse.yaml", `serve_in_background ./gatehouse serve --config site/gatehouse.yaml --listen "$ADDRESS"`},
	},
	"docs/quickstart.md: curl -s http://localhost:8080/api/token/ -d username=alice -d password='correct horse'": {{"localhost:8080", "$ADDRESS"}, {"curl -s", "curl -sf"}},
	"docs/quickstart.md: access=$(curl -s http://localhost:8080/api/token/ -d username=alice -d password='correct horse' | sed 's/.*\"access\":\"\\([^\"]*\\)\".*/\\1/')": {
		{"localhost:8080", "$ADDRESS"}, {"curl -s ", "curl -sf "},
	},
	"docs/tokens.md: openssl rand -base64 -out hs256.key 48":                                                         {},
	"docs/tokens.md: gatehouse keys new       # the first key, which signs at once; ES256, or --alg EdDSA, RS256, …": {{"keys rotate", "keys rotate --config keyed.yaml"}, {"keys new", "keys new --config keyed.yaml"}, {"keys list", "keys list --config keyed.yaml"}},
	"docs/tokens.md: gatehouse user set alice --attribute \"department=sales emea\" --remove-attribute desk":         {},
	"docs/users.md: gatehouse user add alice --email alice@example.com --group staff": {
		{"gatehouse user add alice", "gatehouse user delete alice; gatehouse user add alice"}, {"--group staff", "--group staff --password-stdin < password.txt"},
	},
	"docs/users.md: gatehouse user add bot --password-stdin < password.txt": {},
	"docs/users.md: gatehouse user list":                                    {},
	"docs/users.md: gatehouse store prune":                                  {},
}

// prelude is what the edits call.
const prelude = `
serve_and_stop() {
	"$@" > serve.log 2>&1 & pid=$!
	for i in $(seq 600); do grep -q listening serve.log && break; sleep 0.1; done
	kill -TERM $pid
	wait $pid
}
serve_in_background() {
	"$@" > serve.log 2>&1 & echo $! > serve.pid
	for i in $(seq 600); do grep -q listening serve.log && return; sleep 0.1; done
	cat serve.log; return 1
}
`

// stage is a directory in which the blocks of one page are run, one after the other.
type stage struct {
	dir string
	env []string
}

func newStage(t *testing.T, pageYAML string) *stage {
	t.Helper()
	binary := mustBuild(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		switch {
		case in.URL.Path == "/whoami":
			_ = in.Header.Write(w)
		case in.URL.Path != "/admin/":
			http.NotFound(w, in)
		case in.Header.Get("X-User-Name") == "":
			http.Error(w, "who?", http.StatusForbidden)
		default:
			fmt.Fprintln(w, "welcome")
		}
	}))
	t.Cleanup(backend.Close)
	address := backend.Listener.Addr().String()
	s := &stage{dir: t.TempDir()}
	bin := filepath.Join(s.dir, ".bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(bin, "gatehouse")); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "BINARY="+binary, "BACKEND="+address, "ADDRESS="+freeAddress(t), "HOME="+s.dir)
	for name, text := range map[string]string{
		"password.txt":    "correct horse\n",
		"jwt":             strings.Repeat("0123456789abcdef", 4),
		"simple_jwt.json": `{"ALGORITHM": "HS256", "SIGNING_KEY": "` + strings.Repeat("x", 50) + `", "ROTATE_REFRESH_TOKENS": true, "BLACKLIST_AFTER_ROTATION": true}`,
		"gatehouse.yaml": `store: { dsn: gatehouse.db }
tokens: { keys: [{ kid: main, alg: HS256, secret_file: jwt }] }
upstreams: { crm: { url: "http://` + address + `" } }
routes: [{ to: crm }]
`,
		"keyed.yaml": `tokens: { key_dir: keys }
store: { dsn: keyed.db }
upstreams: { crm: { url: "http://` + address + `" } }
routes: [{ to: crm }]
`,
		".page.yaml": strings.ReplaceAll(pageYAML, "127.0.0.1:8000", address),
	} {
		writeFile(t, filepath.Join(s.dir, name), text)
	}
	s.run(t, `gatehouse user add alice --attribute desk=7 --password-stdin < password.txt; gatehouse store export-django --to dump.json`)
	t.Cleanup(func() {
		if pid, err := os.ReadFile(filepath.Join(s.dir, "serve.pid")); err == nil {
			_ = exec.CommandContext(context.Background(), "kill", strings.TrimSpace(string(pid))).Run()
		}
	})
	return s
}

func (s *stage) run(t *testing.T, text string) {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", prelude+text)
	shell.Dir, shell.Env = s.dir, s.env
	out := new(lockedBuffer)
	shell.Stdout, shell.Stderr = out, out
	shell.WaitDelay = time.Second // what it leaves running has our ends of the pipes
	if err := shell.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("%v\n%s\nsaid\n%s", err, text, out)
	}
}

// Every block of shell in the documents does what it says, as it stands or with edits
// that each say what they replace. A block that is new must be put into one of the lists.
func TestShellBlocksOfTheDocuments(t *testing.T) {
	needProgram(t, "bash")
	needProgram(t, "openssl")
	needProgram(t, "curl")
	stages := map[string]*stage{}
	ran, listed := 0, map[string]bool{}
	for _, b := range blocks(t, shells...) {
		name := b.page + ": " + b.first()
		listed[name] = true
		edits, does := runs[name]
		switch why := cannotRun[name]; {
		case why != "" && does:
			t.Errorf("%s is run, and is listed as one that cannot be", b)
			continue
		case why != "":
			continue
		case !does:
			t.Errorf("%s (%s) is in no list: say in runs how it is run, or in cannotRun why not", b, b.first())
			continue
		}
		s := stages[b.page]
		if s == nil {
			pageYAML := ""
			for _, y := range blocks(t, "yaml") {
				if y.page == b.page && pageYAML == "" {
					pageYAML = y.text
				}
			}
			s = newStage(t, pageYAML)
			stages[b.page] = s
		}
		text := b.text
		for _, e := range edits {
			if !strings.Contains(text, e.from) {
				t.Errorf("%s does not have %q any more", b, e.from)
			}
			text = strings.ReplaceAll(text, e.from, e.to)
		}
		ran++
		t.Run(b.String(), func(t *testing.T) {
			s.run(t, text)
			if site := filepath.Join(s.dir, "site"); exists(site) && !exists(filepath.Join(site, "gatehouse.yaml")) {
				s.run(t, "cp .page.yaml site/gatehouse.yaml")
			}
		})
	}
	for _, list := range []map[string]bool{keysOf(runs), keysOf(cannotRun)} {
		for name := range list {
			if !listed[name] {
				t.Errorf("there is no block %s any more", name)
			}
		}
	}
	t.Logf("%d blocks were run, %d cannot be", ran, len(cannotRun))
	if ran < 18 || len(cannotRun) > 26 {
		t.Errorf("%d blocks were run and %d cannot be: documents should be such as can be tried", ran, len(cannotRun))
	}
}

func keysOf[T any](m map[string]T) map[string]bool {
	keys := map[string]bool{}
	for key := range m {
		keys[key] = true
	}
	return keys
}

// inline finds commands of gatehouse in running text.
var inline = regexp.MustCompile("`((?:\\./)?gatehouse [a-z][^`\n|…]*)`")

// Each command of gatehouse in the documents is one, with its flags and as many arguments
// as it takes; also where it cannot be run. All shell can be parsed.
func TestCommandsOfTheDocuments(t *testing.T) {
	commands := 0
	for _, b := range blocks(t, shells...) {
		n, err := checkShell(b.text)
		if err != nil {
			t.Errorf("%s: %v", b, err)
		}
		commands += n
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range inline.FindAllSubmatchIndex(text, -1) {
			if _, err := checkShell(string(text[at[2]:at[3]])); err != nil && !strings.Contains(err.Error(), "needs") {
				t.Errorf("%s:%d: %v", page, bytes.Count(text[:at[0]], []byte("\n"))+1, err)
			}
			commands++
		}
	}
	if commands < 60 {
		t.Errorf("found only %d commands", commands)
	}
}

// What the test above is for.
func TestWrongCommandsOfDocumentsAreFound(t *testing.T) {
	for _, wrong := range []string{
		"gatehouse user add alice --gruop staff",
		"./gatehouse usr add alice",
		"gatehouse check gatehouse.yaml",
		"(umask 077; gatehouse keys make)",
		"docker exec -i gatehouse gatehouse user ad alice < password",
		"x=$(gatehouse version --jsn)",
		"gatehouse serve --listen",
		"go run ./cmd/gatehouse dmo",
		"gatehouse user list | (",
	} {
		if _, err := checkShell(wrong); err == nil {
			t.Errorf("nothing is found wrong with: %s", wrong)
		}
	}
	if n, err := checkShell("gatehouse user add alice --group staff < password && docker exec -i gatehouse gatehouse user list"); n != 2 || err != nil {
		t.Errorf("%d commands, %v", n, err)
	}
}

// checkShell parses shell, and holds the commands of gatehouse in it against the program.
func checkShell(text string) (commands int, err error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return 0, err
	}
	var faults []error
	syntax.Walk(file, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if !ok {
			return true
		}
		words := make([]string, len(call.Args))
		for i, word := range call.Args {
			words[i] = plain(word.Parts)
		}
		args, ok := ofGatehouse(words)
		if !ok {
			return true
		}
		commands++
		root := (&program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}).commands()
		root.InitDefaultCompletionCmd()
		cmd, rest, err := root.Find(args)
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", strings.Join(words, " "), err))
		}
		return true
	})
	return commands, errors.Join(faults...)
}

// ofGatehouse returns the arguments of a call of the program.
func ofGatehouse(words []string) (args []string, ok bool) {
	switch {
	case len(words) == 0:
		return nil, false
	case words[0] == "gatehouse" || words[0] == "./gatehouse":
		return words[1:], true
	case len(words) > 2 && words[0] == "go" && words[1] == "run" && words[2] == "./cmd/gatehouse":
		return words[3:], true
	case len(words) > 1 && words[0] == "docker" && words[1] == "exec":
		at := slices.Index(words, "gatehouse") + 1 // the container; behind it the program
		if at > 0 && at < len(words) && words[at] == "gatehouse" {
			return words[at+1:], true
		}
	}
	return nil, false
}

// plain is a word without its quotes; what a shell would put in is x.
func plain(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			b.WriteString(part.Value)
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			b.WriteString(plain(part.Parts))
		default:
			b.WriteString("x")
		}
	}
	return b.String()
}
