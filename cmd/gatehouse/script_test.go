package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata run the program itself and double as its manual. Beside
// the commands of testscript they have those of scriptCommands below.

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("GATEHOUSE_TEST_UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv(logsVariable, os.Getenv(logsVariable))
			env.Setenv("GATEHOUSE_LOG_LEVEL", os.Getenv("GATEHOUSE_LOG_LEVEL"))
			env.Setenv(isolationVariable, os.Getenv(isolationVariable))
			env.Values[slowAnswers{}] = make(chan chan slowAnswer, 1)
			env.Values[slowRequests{}] = &slowly{arrived: make(chan struct{}, 10), released: make(chan struct{}, 10)}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"backend": scriptBackend, "certificate": scriptCertificate, "port": scriptPort, "taken": scriptTaken, "ready": scriptReady,
			"expand": scriptExpand, "http": scriptHTTP, "login": scriptLogin, "await": scriptAwait, "until": scriptUntil, "repeat": scriptRepeat, "slow": scriptSlow, "stopping": scriptStopping, "release": scriptRelease, "answered": scriptAnswered, "sleep": scriptSleep, "terminate": scriptTerminate, "hangup": scriptHangup, "member": scriptMember,
		},
	})
}

// expand FILE... replaces $NAME in files.
func scriptExpand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		path := ts.MkAbs(name)
		ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(name), ts.Getenv)), 0o600))
		ts.Check(os.Chmod(path, 0o600)) // it has a secret
	}
}

// backend NAME runs a backend until the script ends and puts its address into
// $NAME. It answers with what it received. GET /slow takes until release, or until the client has gone.
func scriptBackend(ts *testscript.TestScript, _ bool, args []string) {
	slow := ts.Value(slowRequests{}).(*slowly)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if in.URL.Path == "/slow" {
			slow.arrived <- struct{}{}
			select {
			case <-slow.released:
			case <-in.Context().Done():
			}
		}
		fmt.Fprintf(w, "%s %s\nhost: %s\n", in.Method, in.RequestURI, in.Host)
		for _, name := range slices.Sorted(maps.Keys(in.Header)) {
			fmt.Fprintf(w, "%s: %s\n", strings.ToLower(name), strings.Join(in.Header[name], " | "))
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.Listener.Addr().String())
}

// certificate CERT KEY writes a certificate that nobody believes, and its key.
func scriptCertificate(ts *testscript.TestScript, _ bool, args []string) {
	certificate, key, err := unbelievable()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(certificate), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(key), 0o600))
}

// port NAME puts an address into $NAME on which nothing listens.
func scriptPort(ts *testscript.TestScript, _ bool, args []string) {
	address, err := findAddress()
	ts.Check(err)
	ts.Setenv(args[0], address)
}

// taken NAME puts an address into $NAME on which another program listens.
func scriptTaken(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	ts.Setenv(args[0], listener.Addr().String())
}

// ready ADDRESS waits until a program listens there.
func scriptReady(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", args[0])
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nothing listens on %s", args[0])
		}
	}
}

// http METHOD URL [HEADER...] prints the status and the body. A last argument that
// begins with @ is sent as a form.
func scriptHTTP(ts *testscript.TestScript, _ bool, args []string) {
	fmt.Fprint(ts.Stdout(), exchanged(ts, args))
}

// exchanged is what http prints.
func exchanged(ts *testscript.TestScript, args []string) string {
	var body io.Reader
	header := http.Header{}
	if last := args[len(args)-1]; strings.HasPrefix(last, "@") {
		body, args = strings.NewReader(last[1:]), args[:len(args)-1]
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, line := range args[2:] {
		name, value, _ := strings.Cut(line, ": ")
		header.Set(name, value)
	}
	status, text, err := exchange(args[0], args[1], header, body)
	ts.Check(err)
	return fmt.Sprintf("%d\n%s\n", status, text)
}

func exchange(method, target string, header http.Header, body io.Reader) (status int, text string, err error) {
	out, err := http.NewRequest(method, target, body)
	if err != nil {
		return 0, "", err
	}
	out.Header = header
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Minute}
	answer, err := client.Do(out)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(all), err
}

// login ADDRESS NAME PASSWORD logs in and puts the tokens into $ACCESS and $REFRESH.
func scriptLogin(ts *testscript.TestScript, neg bool, args []string) {
	form := url.Values{"username": {args[1]}, "password": {args[2]}}.Encode()
	status, text, err := exchange("POST", "http://"+args[0]+"/api/token/", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, strings.NewReader(form))
	ts.Check(err)
	if neg {
		if status != http.StatusUnauthorized {
			ts.Fatalf("got status %d, want 401: %s", status, text)
		}
		return
	}
	var pair struct{ Access, Refresh string }
	if status != http.StatusOK || json.Unmarshal([]byte(text), &pair) != nil {
		ts.Fatalf("got status %d, want 200: %s", status, text)
	}
	ts.Setenv("ACCESS", pair.Access)
	ts.Setenv("REFRESH", pair.Refresh)
}

// member NAME MEMBER puts a member of the JSON that was printed last into $NAME.
func scriptMember(ts *testscript.TestScript, _ bool, args []string) {
	var members map[string]any
	_, body, _ := strings.Cut(ts.ReadFile("stdout"), "\n") // behind the status
	ts.Check(json.Unmarshal([]byte(body), &members))
	text, ok := members[args[1]].(string)
	if !ok {
		ts.Fatalf("there is no %s in %s", args[1], body)
	}
	ts.Setenv(args[0], text)
}

// await STATUS URL waits until a GET with $ACCESS answers the status.
func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		status, text, err := exchange("GET", args[1], http.Header{"Authorization": {"Bearer " + ts.Getenv("ACCESS")}}, nil)
		ts.Check(err)
		if fmt.Sprint(status) == args[0] {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("still %d: %s", status, text)
		}
	}
}

// until REGEXP METHOD URL [HEADER...] is http that is done again until the answer matches.
func scriptUntil(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		got := exchanged(ts, args[1:])
		if want.MatchString(got) {
			fmt.Fprint(ts.Stdout(), got)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("there is still no %s in %s", want, got)
		}
	}
}

// repeat REGEXP PROGRAM [ARGUMENT...] runs a program until it succeeds and what it prints matches; ! repeat until
// it fails and what it says of that matches.
func scriptRepeat(ts *testscript.TestScript, neg bool, args []string) {
	want, file := regexp.MustCompile("(?m)"+args[0]), "stdout"
	if neg {
		file = "stderr"
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		got := ts.ReadFile(file)
		if (err != nil) == neg && want.MatchString(got) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("there is still no %s in %s: %v", want, got, err)
		}
	}
}

// slowAnswer is what a request that slow has begun will be answered.
type slowAnswer struct {
	status int
	text   string
	err    error
}

// slow URL begins a request and goes on when it is at the backend.
func scriptSlow(ts *testscript.TestScript, _ bool, args []string) {
	answer := make(chan slowAnswer, 1)
	go func() {
		status, text, err := exchange("GET", args[0], nil, nil)
		answer <- slowAnswer{status, text, err}
	}()
	ts.Value(slowAnswers{}).(chan chan slowAnswer) <- answer
	select {
	case <-ts.Value(slowRequests{}).(*slowly).arrived:
	case <-time.After(60 * time.Second):
		ts.Fatalf("it does not arrive at the backend")
	}
}

// stopping ADDRESS waits until nobody listens there any more.
func scriptStopping(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", args[0])
		if err != nil {
			return
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			ts.Fatalf("somebody listens on %s", args[0])
		}
	}
}

// release has the backend answer a request that slow has begun.
func scriptRelease(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Value(slowRequests{}).(*slowly).released <- struct{}{}
}

// slowly is how the requests that slow has begun, and the backend, wait for each other.
type slowly struct{ arrived, released chan struct{} }

type (
	slowAnswers  struct{}
	slowRequests struct{}
)

// answered STATUS TEXT waits for the answer to the request that slow has begun.
func scriptAnswered(ts *testscript.TestScript, neg bool, args []string) {
	answer := <-<-ts.Value(slowAnswers{}).(chan chan slowAnswer)
	came := answer.err == nil && fmt.Sprint(answer.status) == args[0]
	for _, text := range args[1:] {
		came = came && strings.Contains(answer.text, text)
	}
	if came == neg {
		ts.Fatalf("got %d, %q, %v", answer.status, answer.text, answer.err)
	}
}

// hangup sends SIGHUP to the last program started in the background.
func scriptHangup(ts *testscript.TestScript, _ bool, _ []string) {
	running := ts.BackgroundCmds()
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGHUP))
	time.Sleep(500 * time.Millisecond) // until it has looked
}

// terminate sends SIGTERM to the last program started in the background; terminate again does
// so until it has ended, since two that come before it looks are one.
func scriptTerminate(ts *testscript.TestScript, _ bool, args []string) {
	running := ts.BackgroundCmds()
	process := running[len(running)-1].Process
	err := process.Signal(syscall.SIGTERM)
	ts.Check(err)
	if len(args) == 0 || args[0] != "again" {
		return
	}
	for deadline := time.Now().Add(30 * time.Second); err == nil && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		err = process.Signal(syscall.SIGTERM)
	}
}

// sleep DURATION is for what cannot be seen from outside.
func scriptSleep(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	time.Sleep(d)
}

// call runs a command line in this process, as main does.
func call(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func TestTheExampleWorksAsItStands(t *testing.T) {
	text, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "gatehouse.yaml")
	for name, content := range map[string]string{
		"gatehouse.yaml": string(text), "jwt.key": strings.Repeat("new secret ", 5), "old.key": strings.Repeat("old secret ", 5),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := call(t, "", "check", "--config", path)
	if want := path + " is fine: 2 keys, 1 trusted issuer, 2 upstreams, 2 routes, 1 test passed\n"; code != 0 || stdout != want || stderr != "" {
		t.Errorf("got %d, %q, %q; want %q", code, stdout, stderr, want)
	}
}
