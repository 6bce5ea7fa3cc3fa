package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// errSlowBody is a client that paused for too long while it sent a body.
var errSlowBody = errors.New("the client paused while it sent the body")

// afterRefusal is how long what is left of a refused request's body is waited for,
// so that the client reads the answer instead of a reset.
const afterRefusal = 2 * time.Second

// body bounds how long each part of a request's body is waited for. Without it a
// client that never ends its body holds a connection, ours and an upstream's.
type body struct {
	io.ReadCloser
	deadline interface{ SetReadDeadline(time.Time) error }
	pause    time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	_ = b.deadline.SetReadDeadline(time.Now().Add(b.pause))
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		// From here on the connection is only watched for the client's leaving.
		_ = b.deadline.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errSlowBody
	}
	return n, err
}

// guardBody prepares the body of a request that will be answered, by an upstream
// or here.
func (g *Gateway) guardBody(w http.ResponseWriter, in *http.Request) {
	if in.Body == nil || in.Body == http.NoBody {
		return
	}
	connection := http.NewResponseController(w)
	// An answer may come before the body has ended, and then goes out at once.
	_ = connection.EnableFullDuplex()
	guarded := in.Body
	if in.ContentLength < 0 && g.maxBody > 0 {
		// A stated length has been checked; this one is found out on the way.
		guarded = http.MaxBytesReader(w, guarded, g.maxBody)
	}
	in.Body = &body{guarded, connection, g.pause}
}

// leaveBody prepares for an answer that does not wait for the body.
func leaveBody(w http.ResponseWriter, in *http.Request) {
	if in.Body == nil || in.Body == http.NoBody {
		return
	}
	connection := http.NewResponseController(w)
	_ = connection.EnableFullDuplex()
	_ = connection.SetReadDeadline(time.Now().Add(afterRefusal))
}
