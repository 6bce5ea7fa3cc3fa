package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// paste performs a curl line as a shell would.
func paste(t *testing.T, line string) (status int, text string) {
	t.Helper()
	words := shellWords(t, line)
	if words[0] != "curl" {
		t.Fatalf("not a curl line: %s", line)
	}
	method, target, header := "", "", http.Header{}
	var body io.Reader
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case "-X":
			i++
			method = words[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(words[i], ": ")
			header.Set(name, value)
		case "-d":
			i++
			body = strings.NewReader(words[i])
			method = "POST"
		default:
			target = words[i]
		}
	}
	if method == "" {
		method = "GET"
	}
	status, text, err := exchange(method, target, header, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

// shellWords splits a line at spaces outside of single quotes.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	var word strings.Builder
	quoted := false
	for _, r := range line + " " {
		switch {
		case r == '\'':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
		case strings.ContainsRune("\"$`\\|&;<>()*?!", r) && !quoted:
			t.Fatalf("%q means something to a shell: %s", r, line)
		default:
			word.WriteRune(r)
		}
	}
	if quoted {
		t.Fatalf("a quote is open: %s", line)
	}
	return words
}

// startDemo runs the program as a user does and returns what it printed until it
// said how to stop it.
func startDemo(t *testing.T, env ...string) (printed []string, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command("gatehouse", "demo", "--listen", "127.0.0.1:0")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Not killed: it has a directory to remove. Both fail where the test has ended it.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		printed = append(printed, lines.Text())
		if strings.HasPrefix(lines.Text(), "Stop with") {
			return printed, cmd
		}
	}
	t.Fatalf("the demo ended: %v\n%s", cmd.Wait(), strings.Join(printed, "\n"))
	return nil, nil
}

func TestDemoLinesWorkAsTheyStand(t *testing.T) {
	temp := t.TempDir()
	// What is set in the environment is meant for another gateway.
	printed, cmd := startDemo(t, "TMPDIR="+temp, "GATEHOUSE_SERVER_LISTEN=127.0.0.1:1", "GATEHOUSE_CONFIG=/does/not/exist", "http_proxy=http://127.0.0.1:1")
	var lines []string
	for _, line := range printed {
		if strings.HasPrefix(line, "curl ") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 4 {
		t.Fatalf("got %d curl lines, want 4:\n%s", len(lines), strings.Join(printed, "\n"))
	}
	token := `"[\w-]+\.[\w-]+\.[\w-]+"`
	for i, want := range []string{
		`^\{"refresh":` + token + `,"access":` + token + `\}$`,
		`^\{"access":` + token + `\}$`,
		`^\{\}$`,
		`^\{"message": "You have accessed a protected route!"\}$`,
	} {
		status, text := paste(t, lines[i])
		if status != http.StatusOK || !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%s\ngot %d %s, want 200 %s", lines[i], status, text, want)
		}
	}

	// Without the token nobody passes; with it every other path shows the headers.
	protected := shellWords(t, lines[3])
	if status, text := paste(t, "curl "+protected[1]); status != http.StatusUnauthorized {
		t.Errorf("without a token: got %d %s", status, text)
	}
	status, text := paste(t, strings.Replace(lines[3], "/api/protected-endpoint/", "/anything", 1))
	var echo struct {
		Path    string
		Headers http.Header
	}
	if err := json.Unmarshal([]byte(text), &echo); err != nil || status != http.StatusOK || echo.Path != "/anything" ||
		echo.Headers.Get("X-User-Name") != demoUser || echo.Headers.Get("Authorization") != "" {
		t.Errorf("got %d %s, %v", status, text, err)
	}

	made, _ := filepath.Glob(filepath.Join(temp, "gatehouse-demo-*", "*"))
	if len(made) == 0 {
		t.Error("the demo keeps nothing in the temporary directory")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, _ := os.ReadDir(cmd.Dir); len(left) > 0 {
		t.Errorf("left in the working directory: %v", left)
	}
}

// Where curl is installed, the lines are really pasted.
func TestDemoLinesInAShell(t *testing.T) {
	for _, program := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not installed")
		}
	}
	printed, _ := startDemo(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	script := "set -e\n"
	for _, line := range printed {
		if strings.HasPrefix(line, "curl ") {
			script += strings.Replace(line, "curl ", "curl -sS --fail ", 1) + "\necho\n"
		}
	}
	out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `{"message": "You have accessed a protected route!"}`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAddressForAPersonOnThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "192.0.2.1:80": "192.0.2.1:80",
	} {
		address, err := net.ResolveTCPAddr("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := reachable(address); got != "http://"+want {
			t.Errorf("reachable(%s) = %s, want %s", listen, got, want)
		}
	}
}
