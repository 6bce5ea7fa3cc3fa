package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// large asks how large a header may be.
func (p *prober) large(ctx context.Context) error {
	const kib = 1 << 10
	usual, err := p.t.get(ctx, p.t.path(), p.user()...)
	if err != nil {
		return err
	}
	largest, refusal := 0, ""
	for _, size := range []int{4, 8, 16, 32, 64} {
		a, err := p.t.get(ctx, p.t.path(), append(p.user(), line{"X-Gatehouse-Large", strings.Repeat("x", size*kib-300)})...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || a.status != usual.status {
			refusal = fmt.Sprintf("%d KiB: %s", size, outcome(a, err))
			break
		}
		largest = size
	}
	sent := "a header of 4, 8, 16, 32 and 64 KiB"
	switch {
	case refusal == "":
		p.add("large-header", sent, "takes all", Fine, "")
	case p.t.Head > largest*kib:
		p.add("large-header", sent, fmt.Sprintf("takes %d KiB; %s", largest, refusal), Note,
			fmt.Sprintf("clients may send %d KiB to gatehouse, which are refused here; raise the backend's bound, or write server.max_header_bytes: %dKiB (at least 4KiB)", p.t.Head/kib, max(largest, 4)))
	default:
		p.add("large-header", sent, fmt.Sprintf("takes %d KiB; %s", largest, refusal), Fine, "")
	}
	return nil
}

// slow holds back the body of a request, and asks something else meanwhile.
func (p *prober) slow(ctx context.Context) error {
	method := http.MethodOptions
	if p.t.Write {
		method = http.MethodPost
	}
	conn, err := p.t.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(3 * p.t.Timeout))
	if _, err := io.WriteString(conn, p.t.head(method, p.t.path(), line{"Content-Type", "application/json"}, line{"Content-Length", "20"})+"{"); err != nil {
		return err
	}
	waited := min(p.t.Timeout, 3*time.Second)
	_ = conn.SetReadDeadline(time.Now().Add(waited))
	early, err := receive(conn)
	sent := method + " with a body that stops after its first byte"
	if err == nil {
		p.add("slow-body", sent, fmt.Sprintf("answers with %d without waiting for it", early.status), Fine, "")
		return nil
	}
	meanwhile, err := p.t.get(ctx, p.t.path())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.add("slow-body", sent, "waits for it, and answers nobody else meanwhile", Note,
			"one slow client stops everybody: run it with more workers or threads, and keep server.read_body_timeout short (10s)")
		return nil
	}
	p.add("slow-body", sent, fmt.Sprintf("waits for it at least %v, and answers others meanwhile (%d)", waited, meanwhile.status), Fine,
		"each slow client holds a worker; server.read_body_timeout bounds for how long")
	return nil
}

// framing asks what the backend makes of requests with two lengths. That a gateway
// writes its own framing is why this is worth a note and no more.
func (p *prober) framing(ctx context.Context) error {
	path := p.t.path()
	head := func(lines ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: " + p.t.Host + "\r\nConnection: close\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	for _, probe := range []struct{ sent, raw string }{
		{"Content-Length beside Transfer-Encoding", head("Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{"two different Content-Lengths", head("Content-Length: 0", "Content-Length: 5")},
		{"Content-Length: +0", head("Content-Length: +0")},
		{"a space before the colon of Transfer-Encoding", head("Transfer-Encoding : chunked") + "0\r\n\r\n"},
		{"Transfer-Encoding: xchunked", head("Transfer-Encoding: xchunked") + "0\r\n\r\n"},
		{"Transfer_Encoding: chunked", head("Transfer_Encoding: chunked")},
		{"a header that is folded into a second line", head("X-Folded: a", " b")},
		{"line ends without CR", strings.ReplaceAll(head("X-Bare: a"), "\r\n", "\n")},
	} {
		a, err := p.t.exchange(ctx, probe.raw)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || a.status >= 400 {
			p.add("framing", probe.sent, outcome(a, err), Fine, "")
			continue
		}
		p.add("framing", probe.sent, outcome(a, err), Note, "gatehouse frames each request anew, so that no client can send this; let nothing else come to the backend")
	}
	return nil
}

// hosts asks which hosts the backend answers for.
func (p *prober) hosts(ctx context.Context) error {
	path := p.t.path()
	usual, err := p.t.get(ctx, path)
	if err != nil {
		return err
	}
	request := func(target, version string, hosts ...string) string {
		text := "GET " + target + " " + version + "\r\nConnection: close\r\n"
		for _, host := range hosts {
			text += "Host: " + host + "\r\n"
		}
		return text + "\r\n"
	}
	const strange = "gatehouse-doctor.invalid"
	for _, probe := range []struct{ sent, raw, advice string }{
		{"another Host", request(path, "HTTP/1.1", strange), "gatehouse sends the Host of the client: write host: on its routes, so that only known ones come here"},
		{"the Host with another port", request(path, "HTTP/1.1", hostOf(p.t.Host)+":4711"), ""},
		{"the Host in capitals", request(path, "HTTP/1.1", strings.ToUpper(p.t.Host)), ""},
		{"a dot at the end of the Host", request(path, "HTTP/1.1", hostOf(p.t.Host)+"."), ""},
		{"two Hosts", request(path, "HTTP/1.1", p.t.Host, strange), ""},
		{"no Host", request(path, "HTTP/1.1"), ""},
		{"HTTP/1.0 without Host", request(path, "HTTP/1.0"), ""},
		{"another host in the target", request("http://"+strange+path, "HTTP/1.1", p.t.Host), ""},
	} {
		a, err := p.t.exchange(ctx, probe.raw)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil || a.status == 400 || a.status == 421:
			p.add("host", probe.sent, outcome(a, err), Fine, "")
		case a.status == usual.status && probe.advice != "":
			p.add("host", probe.sent, "answered as usual", Note, probe.advice)
		case a.status == usual.status:
			p.add("host", probe.sent, "answered as usual", Fine, "")
		default:
			p.add("host", probe.sent, outcome(a, err), Fine, "")
		}
	}
	return nil
}

// hostOf cuts the port off.
func hostOf(host string) string {
	if at := strings.LastIndexByte(host, ':'); at > strings.LastIndexByte(host, ']') {
		return host[:at]
	}
	return host
}
