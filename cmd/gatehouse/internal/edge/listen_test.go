package edge

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/proxy"
)

func TestWhyAnAddressCannotBeListenedOn(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"taken":     {&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}, "is in use by another program; stop that program, or choose another port"},
		"no rights": {&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}, "choose a port from 1024 up"},
		"elsewhere": {&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}, "is no address of this machine; write :8080"},
		"unknown":   {&net.OpError{Op: "listen", Err: &net.DNSError{Err: "no such host", Name: "nowhere"}}, "no such host; write host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			fault := &listenFault{"listen", "127.0.0.1:80", test.err}
			if got := fault.Error(); !strings.Contains(got, test.want) || !strings.Contains(got, "127.0.0.1:80") {
				t.Errorf("got %q, want it to have %q", got, test.want)
			}
		})
	}
}

func TestSocketFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gatehouse.sock")
	cfg := settings(func(cfg *proxy.Server) { cfg.Listen, cfg.SocketMode = []string{"unix://" + path}, "0606" })
	opened := func() (*Edge, error) { return Open(t.Context(), cfg, Parts{}) }

	first, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o606 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if _, err := opened(); err == nil || !strings.Contains(err.Error(), "in use") || faultAt(err) != "listen" {
		t.Errorf("beside one that answers: %v", err)
	}
	if _, err := net.Dial("unix", path); err != nil {
		t.Errorf("the file of the one that answers: %v", err)
	}
	_ = first.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}

	// As a process that was killed leaves it.
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = stale.Close()
	second, err := opened()
	if err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	_ = second.Close()

	// What is no socket is nobody's to remove.
	write(t, path, []byte("a file of somebody's"))
	if _, err := opened(); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("over a file: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "a file of somebody's" {
		t.Errorf("the file has %q", text)
	}
	cfg.Listen = []string{"unix://" + dir + "/none/gatehouse.sock"}
	if _, err := opened(); err == nil || !strings.Contains(err.Error(), "does not exist; create it") {
		t.Errorf("in no directory: %v", err)
	}
}

// The test runs itself, as systemd runs a program of a socket unit.
func TestSocketsOfSystemd(t *testing.T) {
	if name := os.Getenv("EDGE_TEST_NAME"); name != "" {
		cfg := settings(func(cfg *proxy.Server) { cfg.Listen = []string{"systemd:" + strings.TrimPrefix(name, "all")} })
		e, err := Open(t.Context(), cfg, Parts{})
		if err != nil {
			fmt.Fprintln(os.Stdout, "fault:", err)
			return
		}
		fmt.Fprintln(os.Stdout, "listens on:", strings.Join(e.URLs(), " "))
		_ = e.Close()
		return
	}
	socket := filepath.Join(t.TempDir(), "s.sock")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	tcpFile, _ := tcp.(*net.TCPListener).File()
	unixFile, _ := file.(*net.UnixListener).File()
	for name, want := range map[string]string{
		"web":   "listens on: " + tcp.Addr().String() + "\n",
		"local": "listens on: unix://" + socket + "\n",
		"all":   "listens on: " + tcp.Addr().String() + " unix://" + socket + "\n",
		"none":  "fault: systemd:none is no socket that systemd has opened for this process; start it by its .socket unit",
	} {
		cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestSocketsOfSystemd$'`, os.Args[0])
		cmd.Env = append(os.Environ(), "EDGE_TEST_NAME="+name, "LISTEN_FDS=2", "LISTEN_FDNAMES=web:local")
		cmd.ExtraFiles = []*os.File{tcpFile, unixFile}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: got %q, %v, want %q", name, out, err, want)
		}
	}
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("systemd's file was removed: %v", err)
	}
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "2")
	if _, err := inherited(""); err == nil {
		t.Error("took another process's sockets")
	}
}

func TestTheBoundOfConnections(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{}, 2)
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		cfg.MaxConnections = 2
		cfg.Listen = []string{"127.0.0.1:0", "127.0.0.1:0"}
	}), http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		if in.URL.Path == "/slow" {
			begun <- struct{}{}
			<-release
		}
	}))
	dial := func(i int) net.Conn {
		conn, err := net.Dial("tcp", e.Addrs()[i%2].String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
		return conn
	}
	ask := func(conn net.Conn, path string) { fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path) }
	answered := func(conn net.Conn) error {
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			answer.Body.Close()
		}
		return err
	}
	// Idle ones make room, the one that is idle longest first.
	var idle []net.Conn
	for i := range 2 {
		conn := dial(i)
		ask(conn, "/")
		if err := answered(conn); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
		time.Sleep(20 * time.Millisecond)
	}
	third := dial(0)
	ask(third, "/slow")
	<-begun
	if _, err := idle[0].Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection that was idle longest is there: %v", err)
	}
	// Busy ones do not: who comes now waits for one to end.
	fourth := dial(1)
	ask(fourth, "/slow")
	<-begun
	if _, err := idle[1].Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the second idle connection is there: %v", err)
	}
	fifth := dial(0)
	ask(fifth, "/")
	_ = fifth.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if err := answered(fifth); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a third connection beside two busy ones: %v", err)
	}
	close(release)
	_ = fifth.SetReadDeadline(time.Now().Add(60 * time.Second))
	for i, conn := range []net.Conn{third, fourth, fifth} {
		if err := answered(conn); err != nil && i == 2 {
			t.Errorf("the one that waited: %v", err)
		}
	}
}
