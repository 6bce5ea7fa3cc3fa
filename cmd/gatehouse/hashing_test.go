package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These tests are about the second process of the built program, which hashes passwords
// (login.hashing.isolation).

// isolationVariable is how the other tests are without that process.
const isolationVariable = "GATEHOUSE_LOGIN_HASHING_ISOLATION"

// dearSite is a gateway whose hashes take long enough to do something meanwhile.
const dearSite = `
server: { listen: %q }
store: { dsn: gatehouse.db }
login: { hashing: { cost: "m=65536,t=3,p=1" } }
tokens: { keys: [{ kid: main, alg: HS256, secret_file: secret }] }
upstreams: { app: { url: "http://%s" } }
routes: [{ to: app }]
`

// hashingSite runs the program before a user who exists.
func hashingSite(t *testing.T, isolation, program string, args ...string) (s *site, gateway *exec.Cmd, ended <-chan error) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("on Linux alone")
	}
	binary, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s = &site{address: freeAddress(t), binary: binary, config: filepath.Join(dir, "gatehouse.yaml"), out: new(lockedBuffer)}
	writeFile(t, s.config, fmt.Sprintf(dearSite, s.address, "127.0.0.1:9"))
	writeFile(t, filepath.Join(dir, "secret"), strings.Repeat("0123456789abcdef", 4)+"\n")
	s.run(t, passwordOf("ada")+"\n", "user", "add", "ada", "--password-stdin")
	if program == "" {
		program = binary
	}
	gateway = exec.Command(program, append(args, "serve", "--config", s.config)...)
	gateway.Dir, gateway.Stdout, gateway.Stderr = dir, s.out, s.out
	gateway.Env = append(os.Environ(), "A_SECRET=that the other process needs not have", "GATEHOUSE_LOG_LEVEL=debug", isolationVariable+"="+isolation)
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- gateway.Wait() }()
	t.Cleanup(func() {
		_ = gateway.Process.Kill()
		if t.Failed() {
			t.Logf("it said:\n%s", s.out)
		}
	})
	return s, gateway, end
}

// logIn returns the status of a login; 0 is that there was no answer.
func (s *site) logIn(name, password string) int {
	answer, err := (&http.Client{Timeout: 2 * time.Minute}).PostForm("http://"+s.address+"/api/token/", url.Values{"username": {name}, "password": {password}})
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// hashers are the processes that hash for a gateway.
func hashers(gateway int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", gateway))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for word := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && isHasher(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func isHasher(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(line), hashingCommandName)
}

func TestHashingProcess(t *testing.T) {
	s, gateway, ended := hashingSite(t, "auto", "")
	eventually(t, "it answers", func() bool { return s.logIn("ada", "wrong") == http.StatusUnauthorized })
	pids := hashers(gateway.Process.Pid)
	if len(pids) != 1 {
		t.Fatalf("hashing processes: %v", pids)
	}
	if got := s.logIn("ada", passwordOf("ada")); got != http.StatusOK {
		t.Errorf("a login: %d", got)
	}
	t.Run("nothing can be read of it from outside", func(t *testing.T) {
		for _, file := range []string{"environ", "cmdline"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pids[0], file))
			if err != nil || strings.Contains(string(text), "pass of") || strings.Contains(string(text), "A_SECRET") || strings.Contains(string(text), s.config) {
				t.Errorf("%s: %q, %v", file, text, err)
			}
		}
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pids[0]))
		if string(name) != "gatehouse-hash\n" {
			t.Errorf("ps names it %q", name)
		}
	})
	t.Run("signals to all of a service do not end it", func(t *testing.T) {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
			if err := syscall.Kill(pids[0], signal); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.logIn("ada", passwordOf("ada")); got != http.StatusOK || len(hashers(gateway.Process.Pid)) != 1 || hashers(gateway.Process.Pid)[0] != pids[0] {
			t.Errorf("a login: %d, processes %v", got, hashers(gateway.Process.Pid))
		}
	})
	t.Run("killed in the middle of logins, they are right all the same", func(t *testing.T) {
		var group sync.WaitGroup
		for _, login := range []struct {
			name, password string
			want           int
		}{{"ada", passwordOf("ada"), 200}, {"ada", "wrong", 401}, {"nobody", "wrong", 401}} {
			group.Go(func() {
				if got := s.logIn(login.name, login.password); got != login.want {
					t.Errorf("%s with %q: %d, want %d", login.name, login.password, got, login.want)
				}
			})
		}
		time.Sleep(100 * time.Millisecond) // a hash takes several times that, and four take longer
		_ = syscall.Kill(pids[0], syscall.SIGKILL)
		group.Wait()
		eventually(t, "the log says so", func() bool { return strings.Contains(s.out.String(), "the process that hashes passwords died") })
		// Where all were done before it was killed, the next one has it started.
		if got := s.logIn("ada", passwordOf("ada")); got != http.StatusOK {
			t.Errorf("a login: %d", got)
		}
		again := hashers(gateway.Process.Pid)
		if len(again) != 1 || again[0] == pids[0] {
			t.Fatalf("processes %v, before %v", again, pids)
		}
		pids = again
	})
	t.Run("a stop lets logins finish, and leaves nobody", func(t *testing.T) {
		status := make(chan int, 1)
		go func() { status <- s.logIn("ada", passwordOf("ada")) }()
		time.Sleep(50 * time.Millisecond)
		_ = gateway.Process.Signal(syscall.SIGTERM)
		_ = syscall.Kill(pids[0], syscall.SIGTERM) // as systemd does
		if got := <-status; got != http.StatusOK && got != 0 {
			t.Errorf("the login: %d", got)
		}
		if err := <-ended; err != nil {
			t.Errorf("it ends with %v", err)
		}
		eventually(t, "the hashing process has ended", func() bool { return !isHasher(pids[0]) })
	})
}

func TestHashingProcessEndsWithAKilledGateway(t *testing.T) {
	s, gateway, ended := hashingSite(t, "process", "")
	eventually(t, "it answers", func() bool { return s.logIn("ada", "wrong") == http.StatusUnauthorized })
	pids := hashers(gateway.Process.Pid)
	if len(pids) != 1 {
		t.Fatalf("hashing processes: %v", pids)
	}
	go s.logIn("ada", "wrong") // it computes
	time.Sleep(50 * time.Millisecond)
	_ = gateway.Process.Kill()
	<-ended
	eventually(t, "the hashing process has ended", func() bool { return !isHasher(pids[0]) })
}

// withoutProc runs a program where /proc, by which a program finds itself, is empty.
func withoutProc(t *testing.T) (program string, args []string) {
	t.Helper()
	if err := exec.Command("unshare", "--mount", "true").Run(); err != nil {
		missing(t, "unshare --mount is not possible here")
	}
	binary, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	return "unshare", []string{"--mount", "sh", "-c", `mount -t tmpfs tmpfs /proc && exec "$0" "$@"`, binary}
}

func TestHashingWithoutAProcess(t *testing.T) {
	t.Run("cannot be started", func(t *testing.T) {
		program, args := withoutProc(t)
		s, _, _ := hashingSite(t, "auto", program, args...)
		eventually(t, "it answers", func() bool { return s.logIn("ada", "wrong") == http.StatusUnauthorized })
		if got := s.logIn("ada", passwordOf("ada")); got != http.StatusOK {
			t.Errorf("a login: %d", got)
		}
		if n := strings.Count(s.out.String(), "the process for them cannot be started"); n != 1 {
			t.Errorf("it is told %d times", n)
		}
	})
	t.Run("must be started", func(t *testing.T) {
		program, args := withoutProc(t)
		s, gateway, ended := hashingSite(t, "process", program, args...)
		<-ended
		if code := gateway.ProcessState.ExitCode(); code == exitDone || !strings.Contains(s.out.String(), "login.hashing.isolation: passwords are to be hashed by a process of their own") {
			t.Errorf("it ended with %d:\n%s", code, s.out)
		}
	})
	t.Run("must not be started", func(t *testing.T) {
		s, gateway, _ := hashingSite(t, "none", "")
		eventually(t, "it answers", func() bool { return s.logIn("ada", "wrong") == http.StatusUnauthorized })
		if got := s.logIn("ada", passwordOf("ada")); got != http.StatusOK || len(hashers(gateway.Process.Pid)) > 0 {
			t.Errorf("a login: %d, processes %v", got, hashers(gateway.Process.Pid))
		}
	})
}

func TestTheHashingCommandIsNotForPeople(t *testing.T) {
	binary, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, hashingCommandName, "many").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a gateway starts this by itself") {
		t.Errorf("%v: %s", err, out)
	}
	help, err := exec.Command(binary, "--help").CombinedOutput()
	if err != nil || strings.Contains(string(help), hashingCommandName) {
		t.Errorf("%v: %s", err, help)
	}
}
