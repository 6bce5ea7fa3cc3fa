package main

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// lingerTime is how long a client that still sends is listened to after its answer.
const lingerTime = 500 * time.Millisecond

// linger lets a client that said "Connection: close" send on for a moment after it was
// answered before its body was read. Otherwise the connection is reset, and a proxy
// that sends first and reads afterwards, as nginx does, makes 502 of a 401. Where the
// connection was to be kept, net/http does the like by itself.
func linger(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, in *http.Request) {
		if !in.Close || in.ProtoMajor != 1 || in.Body == nil || in.Body == http.NoBody || in.Header.Get("Upgrade") != "" || in.Header.Get("Expect") != "" {
			serve(w, in)
			return
		}
		body := &followed{ReadCloser: in.Body}
		in.Body = body
		serve(w, in)
		if body.over.Load() {
			return
		}
		answer := http.NewResponseController(w)
		if answer.Flush() == nil && answer.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.Copy(io.Discard, body)
		}
	}
}

// followed notes that a body was read to its end.
type followed struct {
	io.ReadCloser
	over atomic.Bool // a transport may read on after the handler has returned
}

func (b *followed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.over.Store(true)
	}
	return n, err
}
