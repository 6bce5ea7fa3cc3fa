package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Every line that gatehouse logs in the tests of this package, in this process, as the
// command of scripts and as the built program, at level debug, is kept, and looked through
// when all are done: no secret may be in any.

// logsVariable tells processes of tests where their lines are kept.
const logsVariable = "GATEHOUSE_TEST_LOGS"

func TestMain(m *testing.M) {
	testscript.Main(looking{m}, map[string]func(){"gatehouse": keptMain})
}

// looking runs the tests, and then looks.
type looking struct{ *testing.M }

func (w looking) Run() int {
	dir, err := os.MkdirTemp("", "gatehouse-logs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	_ = os.Setenv(logsVariable, dir)
	if os.Getenv("GATEHOUSE_LOG_LEVEL") == "" {
		_ = os.Setenv("GATEHOUSE_LOG_LEVEL", "debug")
	}
	// Most of what runs beside others waits for processes more than it works.
	if !flag.Parsed() {
		flag.Parse()
	}
	if side := flag.Lookup("test.parallel"); side.Value.String() == side.DefValue {
		_ = side.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	// On a machine that is busy with tests logins would have to wait for what those leave.
	// The tests of the other process ask for it.
	_ = os.Setenv(isolationVariable, "none")
	code := w.M.Run()
	lines, leaks, err := lookThrough(dir)
	if err != nil || len(leaks) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: secrets in the log: %v\n%s\n", err, strings.Join(leaks, "\n"))
		return 1
	}
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, "looked through %d lines of logs for secrets\n", lines)
	}
	return code
}

// keptMain is main, with what is printed kept.
func keptMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], os.Stdin, io.MultiWriter(os.Stdout, keep{}), io.MultiWriter(os.Stderr, keep{}))) //nolint:forbidigo // this is main
}

// keep writes what it gets to a file of this process. Failures are told by nobody finding
// anything.
type keep struct{}

var kept = sync.OnceValue(func() *os.File {
	dir := os.Getenv(logsVariable)
	if dir == "" {
		return nil
	}
	file, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%d.log", os.Getpid())), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil
	}
	return file
})

func (keep) Write(b []byte) (int, error) {
	if file := kept(); file != nil {
		_, _ = file.Write(b)
	}
	return len(b), nil
}

// logLine tells lines of a log from what commands print, which may be tokens that were
// asked for.
var logLine = regexp.MustCompile(`"level":"[A-Z]+","msg":|\blevel=[A-Z]+ msg=`)

// secrets are what no line may have: what the tests use, and whatever has the form of a
// token, an encoded password or a key.
var secrets = regexp.MustCompile(strings.Join([]string{
	`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.`,
	`(?:pbkdf2_sha\d+|argon2|bcrypt(?:_sha256)?|scrypt|md5)\$`, `\$argon2(?:id|i|d)\$`, `\$2[aby]\$\d\d\$`,
	`-----BEGIN [A-Z ]*PRIVATE KEY`, `(?i)\bbearer [A-Za-z0-9_-]{16,}`,
	`pass of `, `testpassword`, `hunter2`, `[a-z]+ password 1`,
	regexp.QuoteMeta(originalKey), `an-example-signing-key`, `another-signing-key`, `0123456789abcdef0123456789abcdef`, `fedcba9876543210fedcba9876543210`,
}, "|"))

// lookThrough returns how many lines there are, and those with secrets.
func lookThrough(dir string) (lines int, leaks []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return 0, nil, err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return lines, leaks, err
		}
		scanner := bufio.NewScanner(bytes.NewReader(text))
		scanner.Buffer(nil, 16<<20)
		for scanner.Scan() {
			if !logLine.Match(scanner.Bytes()) {
				continue
			}
			lines++
			if found := secrets.Find(scanner.Bytes()); found != nil {
				leaks = append(leaks, fmt.Sprintf("%q in %s", found, scanner.Text()))
			}
		}
		if err := scanner.Err(); err != nil {
			return lines, leaks, err
		}
	}
	return lines, leaks, nil
}

// Whoever looks for secrets must find them: each is planted here.
func TestPlantedSecretsAreFound(t *testing.T) {
	for name, secret := range map[string]string{
		"an access token":       "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJl",
		"a header":              "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
		"a hash of Django":      "pbkdf2_sha256$870000$salt$aGFzaA==",
		"a hash of argon2":      "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA",
		"a private key":         "-----BEGIN EC PRIVATE KEY-----",
		"a password":            passwordOf("alice"),
		"the key of Django":     originalKey,
		"the secret of a token": "0123456789abcdef0123456789abcdef",
	} {
		for _, line := range []string{
			fmt.Sprintf(`{"time":"x","level":"DEBUG","msg":"planted","value":%q}`, secret),
			fmt.Sprintf(`time=x level=DEBUG msg=planted value=%q`, secret),
		} {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "1.log"), "printed for who asked: "+secret+"\n"+line+"\n")
			if lines, leaks, err := lookThrough(dir); lines != 1 || len(leaks) != 1 || err != nil {
				t.Errorf("%s: %d of %d lines, %v", name, len(leaks), lines, err)
			}
		}
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "1.log"), `{"time":"x","level":"INFO","msg":"request","path":"/x","reason":"token_expired"}`+"\n")
	if lines, leaks, err := lookThrough(dir); lines != 1 || len(leaks) != 0 || err != nil {
		t.Errorf("a good line: %d of %d, %v", len(leaks), lines, err)
	}
}
