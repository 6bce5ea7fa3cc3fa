package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// The manual pages in docs/man are what the command tree says, one for each command.
// GATEHOUSE_TEST_UPDATE=1 writes them.
func TestDocumentedManPages(t *testing.T) {
	const dir = "../../docs/man"
	want := manual(t)
	if os.Getenv("GATEHOUSE_TEST_UPDATE") != "" {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	const renew = "run: GATEHOUSE_TEST_UPDATE=1 go test ./cmd/gatehouse -run DocumentedManPages"
	have, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("%v; %s", err, renew)
	}
	for _, entry := range have {
		if _, ok := want[entry.Name()]; !ok {
			t.Errorf("%s is the page of no command; %s", entry.Name(), renew)
		}
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != text {
			t.Errorf("%s is not what the command says (%v); %s", name, err, renew)
		}
	}
	if len(want) < 25 {
		t.Errorf("%d pages", len(want))
	}

	t.Run("each can be read", func(t *testing.T) {
		mandoc := needProgram(t, "mandoc")
		var pages []string
		for name := range want {
			pages = append(pages, filepath.Join(dir, name))
		}
		slices.Sort(pages)
		// An error is what would be shown wrong; md2man writes some things that a lint calls style.
		out, err := exec.CommandContext(t.Context(), mandoc, append([]string{"-T", "lint", "-W", "error"}, pages...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		text, err := exec.CommandContext(t.Context(), mandoc, "-T", "utf8", filepath.Join(dir, "gatehouse-user-add.1")).Output()
		text = regexp.MustCompile("(?s).\x08").ReplaceAll(text, nil) // bold is written by striking twice
		if err != nil || !bytes.Contains(text, []byte("--password-stdin")) {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

// manual makes a page for each command, as it would be printed on any day and machine.
func manual(t *testing.T) map[string]string {
	t.Helper()
	root := (&program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}).commands()
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd()
	pages := map[string]string{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.DisableAutoGenTag = true
		var page bytes.Buffer
		header := &doc.GenManHeader{Title: strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")), Section: "1", Source: "gatehouse", Manual: "Gatehouse"}
		if err := doc.GenMan(cmd, header, &page); err != nil {
			t.Fatal(err)
		}
		// The date of a page is that of the day on which it was made.
		lines := strings.SplitAfter(page.String(), "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, ".TH ") {
				fields := strings.Split(line, `"`)
				fields[5] = ""
				lines[i] = strings.Join(fields, `"`)
			}
			lines[i] = strings.TrimRight(strings.TrimSuffix(lines[i], "\n"), " ") + "\n"
		}
		pages[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"] = strings.TrimRight(strings.Join(lines, ""), "\n") + "\n"
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() && !child.IsAdditionalHelpTopicCommand() {
				visit(child)
			}
		}
	}
	visit(root)
	return pages
}

// A shell that has read the script of `gatehouse completion` offers what the command
// tree has.
func TestCompletion(t *testing.T) {
	binary := mustBuild(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, filepath.Join(dir, "jwt"), strings.Repeat("0123456789abcdef", 4))
	writeFile(t, config, `store: { dsn: gatehouse.db }
tokens: { keys: [{ kid: main, alg: HS256, secret_file: jwt }] }
upstreams: { crm: { url: "http://127.0.0.1:1" }, shop: { url: "http://127.0.0.1:1" } }
routes: [{ name: front, to: crm }, { to: shop, host: shop.example.com }]
`)
	add := exec.CommandContext(t.Context(), binary, "user", "add", "alice", "--password-stdin", "--config", config)
	add.Stdin = strings.NewReader("correct horse\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	t.Run("bash", func(t *testing.T) {
		bash := needProgram(t, "bash")
		const library = "/usr/share/bash-completion/bash_completion"
		if !exists(library) {
			missing(t, "bash-completion is not installed")
		}
		for typed, want := range map[string]string{
			"gatehouse us":          "user",
			"gatehouse user se":     "sessions set",
			"gatehouse keys ":       "jwks list new retire rotate",
			"gatehouse serve --lis": "--listen",
			"gatehouse user show --config " + config + " a":     "alice",
			"gatehouse doctor --config " + config + " --probe ": "crm front shop",
			"gatehouse user show alice ":                        "",
		} {
			script := `source ` + library + `
source <("$BINARY" completion bash)
gatehouse() { "$BINARY" "$@"; }
COMP_LINE="$TYPED"; COMP_POINT=${#COMP_LINE}
read -ra COMP_WORDS <<< "$COMP_LINE"
[[ "$COMP_LINE" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMP_TYPE=9; COMP_KEY=9
compopt() { :; }
__start_gatehouse
for reply in "${COMPREPLY[@]}"; do echo "${reply%% *}"; done | sort | tr '\n' ' '`
			cmd := exec.CommandContext(t.Context(), bash, "--norc", "-c", script)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "BINARY="+binary, "TYPED="+typed)
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != want {
				t.Errorf("%q: offered %q, want %q (%v)", typed, got, want, err)
			}
		}
	})
	for shell, check := range map[string][]string{"zsh": {"zsh", "-n"}, "fish": {"fish", "--no-execute"}} {
		t.Run(shell, func(t *testing.T) {
			script, err := exec.CommandContext(t.Context(), binary, "completion", shell).Output()
			if err != nil || !strings.Contains(string(script), "gatehouse") {
				t.Fatalf("%v\n%s", err, script)
			}
			program, err := exec.LookPath(check[0])
			if err != nil {
				t.Skip(shell + " is not installed")
			}
			file := filepath.Join(t.TempDir(), "script")
			writeFile(t, file, string(script))
			if out, err := exec.CommandContext(t.Context(), program, append(check[1:], file)...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
