package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// attack is a flood that a process of its own, which runs only where no other wants to,
// sends until it is told to stop.
type attack struct {
	name, kind string
	size       int    // connections
	from       string // their address, which is not that of the others
	about      string
}

// attacks are the floods, in order. Sizes are for a machine with 20,000 files for each process.
var attacks = []attack{
	{"logins", "logins", 32, balancer, "32 connections, one login after another, names that do not exist, an address each"},
	{"slow heads", "heads", 1000, elsewhere, "1,000 connections, a letter of a header each second"},
	{"slow bodies to the token endpoint", "login-bodies", 500, elsewhere, "500 connections, a letter of a login each second"},
	{"slow bodies to an upstream", "bodies", 500, elsewhere, "500 connections, a letter of an upload each second"},
	{"idle after a request", "idle", atBound, elsewhere, "10,000 connections, one request on each, at the bound"},
	{"idle from the beginning", "silent", atBound, elsewhere, "10,000 connections, not a byte, at the bound"},
	{"more than there is room for", "crowd", atBound * 6 / 5, elsewhere, "12,000 connections, one request on each, which come again as soon as they are closed or refused; the bound is 10,000"},
	{"garbage tokens", "garbage", 64, elsewhere, "64 connections, a new bad token with each request, in nine shapes"},
	{"upstream that never answers", "hang", 2000, elsewhere, "2,000 requests to three servers that accept and say nothing"},
	{"upstream that stops after the head", "half", 2000, elsewhere, "2,000 requests to a server that sends a head and nothing more"},
}

// Addresses of this machine.
const (
	ours      = "127.0.0.9" // somebody else's
	elsewhere = "127.0.0.2"
	balancer  = "127.0.0.3" // whose word is taken for who asks
)

// atBound is server.max_connections of flooded gateways.
const atBound = 10_000

// beAttacker floods an address until its standard input ends. It prints how many
// connections it has, when they are all there, and at the end how often it did what.
func beAttacker(ctx context.Context, line string, out io.Writer) error {
	words := strings.Split(line, ",") // kind, size, from, address, a good token
	if len(words) != 5 {
		return fmt.Errorf("%q is no attack", line)
	}
	size, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	a := &attacker{kind: words[0], size: size, from: net.ParseIP(words[2]), address: words[3], token: words[4]}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var group sync.WaitGroup
	doors := make(chan struct{}, 64) // not all at once: nobody's queue of new connections is that long
	for i := range size {
		doors <- struct{}{}
		group.Go(func() { a.come(ctx, i, func() { <-doors }) })
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Fprintln(out, "all there")
	<-ctx.Done()
	group.Wait()
	fmt.Fprintf(out, "%d done, %d refused, %d broken off\n", a.done.Load(), a.refused.Load(), a.broken.Load())
	return nil
}

type attacker struct {
	kind, address, token string
	from                 net.IP
	size                 int

	done, refused, broken atomic.Int64
}

// come attacks on one connection after the other. entered is called once the first is there.
func (a *attacker) come(ctx context.Context, i int, entered func()) {
	once := sync.OnceFunc(entered)
	defer once()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: a.from}}
	crowd := strings.HasPrefix(a.kind, "crowd")
	for ctx.Err() == nil {
		conn, err := dialer.DialContext(ctx, "tcp", a.address)
		if err != nil {
			a.broken.Add(1)
			once()
			pause(ctx, 100*time.Millisecond)
			continue
		}
		if crowd {
			once() // it may have to wait
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // or the port is taken for a minute
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		err = a.attack(ctx, i, conn, once)
		stop()
		_ = conn.Close()
		if err != nil && ctx.Err() == nil {
			a.broken.Add(1)
			if !crowd {
				pause(ctx, 200*time.Millisecond)
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (a *attacker) attack(ctx context.Context, i int, conn net.Conn, entered func()) error {
	from := bufio.NewReader(conn)
	authorized := "Host: app.example.com\r\nAuthorization: Bearer " + a.token + "\r\n"
	switch a.kind {
	case "logins":
		entered()
		return a.ask(ctx, conn, from, func(n int64) []byte {
			return post("/api/token/", fmt.Sprintf("10.%d.%d.%d", i%250, n/250%250, n%250), fmt.Sprintf(`{"username":"nobody-%d-%d","password":"a guess"}`, i, n))
		})
	case "garbage":
		entered()
		return a.ask(ctx, conn, from, func(n int64) []byte { return request(garbage(int(n)+i, a.token)) })
	case "heads":
		return a.drip(ctx, conn, entered, "GET / HTTP/1.1\r\nHost: app.example.com\r\nX-Slow: ")
	case "login-bodies":
		return a.drip(ctx, conn, entered, "POST /api/token/ HTTP/1.1\r\nHost: app.example.com\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{\"username\":\"")
	case "bodies":
		return a.drip(ctx, conn, entered, "POST /hang/upload HTTP/1.1\r\n"+authorized+"Content-Length: 60000\r\n\r\n")
	case "idle", "crowd":
		if _, err := io.WriteString(conn, "GET /api/things/ HTTP/1.1\r\n"+authorized+"\r\n"); err != nil {
			return err
		}
		c := client{conn: conn, from: from}
		if _, _, err := c.answer(); err != nil {
			return err
		}
	case "hang", "half":
		if _, err := io.WriteString(conn, "GET /"+a.kind+"/ HTTP/1.1\r\n"+authorized+"\r\n"); err != nil {
			return err
		}
	case "silent":
	default:
		return errors.New("nobody knows this attack")
	}
	entered()
	_, err := io.Copy(io.Discard, from) // until one of both has enough
	a.done.Add(1)
	return err
}

// ask sends requests one after the other. All are to be refused.
func (a *attacker) ask(ctx context.Context, conn net.Conn, from *bufio.Reader, next func(n int64) []byte) error {
	c := client{conn: conn, from: from}
	for ctx.Err() == nil {
		if _, err := conn.Write(next(a.done.Add(1))); err != nil {
			return err
		}
		status, again, err := c.answer()
		if err != nil {
			return err
		}
		if status >= 400 {
			a.refused.Add(1)
		}
		if !again {
			return nil
		}
	}
	return nil
}

// drip sends the beginning, and then a letter each second.
func (a *attacker) drip(ctx context.Context, conn net.Conn, entered func(), beginning string) error {
	_, err := io.WriteString(conn, beginning)
	entered()
	for err == nil && ctx.Err() == nil {
		pause(ctx, time.Second)
		_, err = io.WriteString(conn, "x")
		a.done.Add(1)
	}
	return err
}

// garbage is a token that nobody made. good is one that is good, to be spoiled.
func garbage(n int, good string) string {
	var random [32]byte
	_, _ = rand.Read(random[:])
	id := hex.EncodeToString(random[:16])
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	signature := base64.RawURLEncoding.EncodeToString(random[:])
	claims := fmt.Sprintf(`{"token_type":"access","exp":4102444800,"iat":1700000000,"jti":"%s","user_id":"1"}`, id)
	switch n % 9 {
	case 0: // nothing of it is base64 of JSON
		return id + "." + id + "." + id
	case 1: // no token at all
		return id
	case 2: // the header of a good one
		head, _, _ := strings.Cut(good, ".")
		return head + "." + text(claims) + "." + signature
	case 3: // of keys that there are, with the work of a public key for each
		return text(`{"alg":"RS256","kid":"RS256","typ":"JWT"}`) + "." + text(claims) + "." + strings.Repeat(signature[:42], 9)[:342]
	case 4:
		return text(`{"alg":"ES256","kid":"ES256","typ":"JWT"}`) + "." + text(claims) + "." + base64.RawURLEncoding.EncodeToString(append(random[:], random[:]...))
	case 5: // of a key that there is not
		return text(`{"alg":"RS256","kid":"`+id+`","typ":"JWT"}`) + "." + text(claims) + "." + signature
	case 6: // of an issuer that nobody trusts
		return text(`{"alg":"RS256","kid":"RS256","typ":"JWT"}`) + "." + text(`{"iss":"https://`+id+`.example",`+claims[1:]) + "." + strings.Repeat(signature[:42], 9)[:342]
	case 7: // as long as a head may be
		return text(`{"alg":"HS256","typ":"JWT"}`) + "." + text(`{"x":"`+strings.Repeat(id, 300)+`",`+claims[1:]) + "." + signature
	}
	return text(`{"alg":"none"}`) + "." + text(claims) + "."
}
