package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"gatehouse/tokens/drf"
)

// Instead is a place at a connection of HTTP/1.1, below net/http, for an answer that was
// written before it was asked for. The gateway leaves one there and has net/http answer
// with a status alone; the connection then sends the one in the place of the other
// ([Instead.Take]). To sort the same seven headers into each answer takes net/http a
// third of the time in which it reads a request and refuses it.
//
// Whatever net/http adds by itself (Date, Connection) stays. What it writes and when, whether the
// connection is kept, how long the client may take: all of that is net/http's as before.
// Were it to write anything else than what is waited for here, that is what would be sent:
// a refusal without a body.
//
// The zero value is an empty place.
type Instead struct {
	left atomic.Pointer[whole]
	room []byte // of the answer that is sent
}

// whole is an answer of which nothing depends on the request.
type whole struct {
	status int
	begin  []byte // the line of the status
	rest   []byte // headers that net/http does not add, and the body behind them
	body   int    // bytes of it
}

// newWhole writes an answer for those who ask for nothing special.
func newWhole(answer drf.Answer) *whole {
	out := &paper{header: http.Header{}}
	answer.Write(out, &http.Request{Method: http.MethodGet, Header: http.Header{}})
	var rest bytes.Buffer
	_ = out.header.Write(&rest) // to memory
	rest.WriteString("\r\n")
	rest.Write(out.body)
	return &whole{
		status: out.status,
		begin:  fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", out.status, http.StatusText(out.status)),
		rest:   rest.Bytes(),
		body:   len(out.body),
	}
}

// paper is a ResponseWriter that keeps what is written.
type paper struct {
	header http.Header
	status int
	body   []byte
}

func (p *paper) Header() http.Header { return p.header }

func (p *paper) WriteHeader(status int) { p.status = status }

func (p *paper) Write(b []byte) (int, error) {
	p.body = append(p.body, b...)
	return len(b), nil
}

type insteadKey struct{}

// Context is ctx for the requests of the connection at which the place is.
func (i *Instead) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, insteadKey{}, i)
}

// leave gives the client of out this answer, if it is one that may be sent so. Otherwise
// nothing has happened.
func (w *whole) leave(out *recorder, in *http.Request) bool {
	if w == nil || out.security != nil || out.status != 0 || in.ProtoMajor != 1 || in.ProtoMinor != 1 ||
		in.Method == http.MethodHead || in.Method == http.MethodConnect || in.Body != http.NoBody || drf.WantsIndent(in) {
		return false
	}
	place, _ := in.Context().Value(insteadKey{}).(*Instead)
	if place == nil {
		return false
	}
	out.wait(out.patience)
	place.left.Store(w)
	out.status, out.bytes = w.status, int64(w.body)
	// Its headers are not looked at: net/http copies those that somebody has asked for.
	out.ResponseWriter.WriteHeader(w.status)
	return true
}

// Take returns what is to be sent in place of p, which net/http has written; nil is p.
// Nothing is left behind it. What it returns is good until the next call, and only one may
// call it at a time.
func (i *Instead) Take(p []byte) []byte {
	if i.left.Load() == nil {
		return nil
	}
	w := i.left.Swap(nil)
	if w == nil || !bytes.HasPrefix(p, w.begin) || !bytes.HasSuffix(p, endOfHead) {
		return nil
	}
	at := bytes.Index(p, emptyBody)
	if at < len(w.begin) {
		return nil
	}
	if i.room == nil {
		i.room = make([]byte, 0, len(p)+len(w.rest)+64)
	}
	text := append(i.room[:0], p[:at]...)
	// The empty line is in rest.
	text = append(text, p[at+len(emptyBody):len(p)-len("\r\n")]...)
	i.room = append(text, w.rest...)
	return i.room
}

var (
	emptyBody = []byte("Content-Length: 0\r\n")
	endOfHead = []byte("\r\n\r\n")
)
