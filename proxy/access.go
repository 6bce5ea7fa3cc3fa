package proxy

import (
	"bufio"
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// recorder notes what was answered, and bounds how long a client may take to read
// it. It adds security headers, and changes nothing else in it.
type recorder struct {
	http.ResponseWriter
	deadline deadliner     // nil: the connection knows none
	patience time.Duration // for each part of the answer
	now      time.Time     // for an answer that is given at once; zero: the clock is asked
	in       *http.Request
	body     *body     // of the request; nil: none, or nobody reads it
	status   int       // 0: nothing yet
	bytes    int64     // of the body
	tunnel   *tunnel   // that the connection becomes; nil: none
	security *security // headers to add; nil: none
	secure   bool      // the client speaks https
	until    time.Time // the client has to take what was written; zero: not said yet
	ended    string    // why a stream was ended by us; "" is by itself
	because  string    // why a handler of ours refuses; "" does not say
}

// Because is told by handlers of ours why they refuse, for the access log alone: clients
// are not to learn from it, nor metrics to have a series for it.
func (r *recorder) Because(reason string) { r.because = reason }

// deadliner is what net/http's own ResponseWriter can do with its connection.
type deadliner interface{ SetWriteDeadline(time.Time) error }

// begin makes a recorder of r, which is zero.
func (r *recorder) begin(w http.ResponseWriter, in *http.Request, patience time.Duration) {
	r.ResponseWriter, r.in, r.patience = w, in, patience
	r.deadline, _ = w.(deadliner)
	if in.Body != http.NoBody {
		// What the last answer on this connection has left is none of this one's: net/http
		// itself writes when the body is first read, if the client waits to be told.
		r.wait(0)
	}
}

// patienceGrain is the part of the patience that a client may be cut off too early
// by: moving the deadline for every few bytes of an answer costs more than it is worth.
const patienceGrain = 16

// wait gives the client until then to take what is written; 0 is without end.
func (r *recorder) wait(patience time.Duration) {
	if r.deadline == nil {
		return
	}
	var until time.Time
	if patience > 0 {
		now := r.now
		if now.IsZero() {
			now = time.Now()
		}
		until = now.Add(patience)
		if until.Sub(r.until) < patience/patienceGrain && !r.until.IsZero() {
			return // what is set is near enough
		}
	}
	r.until = until
	_ = r.deadline.SetWriteDeadline(until)
}

// WriteHeader passes the status on, and ends the connection with an answer that
// comes before the request's body has ended. net/http would guess a Content-Type where the
// upstream sent none, and would send 1xx answers to HTTP/1.0 clients, which take
// them for the answer; both are kept from it here.
func (r *recorder) WriteHeader(status int) {
	r.wait(r.patience)
	if status < 200 && status != http.StatusSwitchingProtocols {
		if r.in.ProtoAtLeast(1, 1) {
			r.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if r.status == 0 {
		r.status = status
		if header := r.Header(); len(header["Content-Type"]) == 0 {
			header["Content-Type"] = nil
		}
		if r.security != nil {
			r.security.set(r.Header(), r.secure)
		}
		if r.in.ProtoMajor == 1 && r.body.halfRead() {
			// net/http would wait for the rest before it lets the answer go.
			r.Header()["Connection"] = []string{"close"}
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	r.wait(r.patience)
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Hijack is called for a connection that becomes a tunnel; its answer is written
// past the recorder.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.wait(0) // a tunnel may be silent
	conn, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.status = http.StatusSwitchingProtocols
		if r.tunnel != nil {
			conn = r.tunnel.opened(conn, rw.Reader)
		}
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController find the rest.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answered is the status that the client got, or that it left before there was one.
func (r *recorder) answered() int {
	if r.status == 0 {
		return statusClientGone
	}
	return r.status
}

// logAccess writes the line of the access log: what was asked, what was decided
// and why, what came of it. No query, no token, and no header but those of log.headers: a
// log is read by many.
func (g *Gateway) logAccess(in *http.Request, d *Decision, became outcome, out *recorder, ended time.Time, took time.Duration) {
	ctx := in.Context()
	room := g.access.room()
	attrs := append(room.attrs[:0],
		slog.String("method", redact(in.Method)),
		slog.String("host", redact(d.Host)),
		slog.String("path", redact(d.Path.Decoded)),
		slog.String("decision", became.decision),
	)
	if reason := cmp.Or(became.reason, out.because); reason != "" {
		attrs = append(attrs, slog.String("reason", reason))
	}
	attrs = append(attrs,
		slog.Int("status", out.answered()),
		slog.Int64("bytes", out.bytes),
		slog.Float64("duration_ms", milliseconds(took)),
		slog.String("client", d.Client.addrText()),
		slog.String("request_id", d.RequestID),
	)
	if id := g.traceIDOf(in); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	if r := d.Match.Route; r != nil {
		attrs = append(attrs, slog.String("route", r.Name))
	}
	if r := d.Match.Rule; r != nil {
		attrs = append(attrs, slog.String("rule", r.Path))
	}
	if d.upstream != nil {
		attrs = append(attrs, slog.String("upstream", d.upstream.Name()))
		if d.upstreamTook > 0 {
			attrs = append(attrs, slog.Float64("upstream_ms", milliseconds(d.upstreamTook)))
		}
	}
	if d.Principal != nil {
		attrs = append(attrs, slog.String("user_id", d.Principal.UserID))
	}
	if d.Reported != nil {
		attrs = append(attrs, slog.String("reported", d.Reported.Reason))
	}
	if d.Ignored != "" {
		attrs = append(attrs, slog.String("ignored", d.Ignored))
	}
	if out.ended != "" {
		attrs = append(attrs, slog.String("ended", out.ended))
	}
	if len(g.logged) > 0 {
		attrs = append(attrs, g.loggedHeaders(in.Header))
	}
	room.attrs = attrs
	g.access.write(ctx, g.logger, ended, room)
}

// loggedHeaders are those of log.headers that the request has.
func (g *Gateway) loggedHeaders(header http.Header) slog.Attr {
	attrs := make([]slog.Attr, 0, len(g.logged))
	for _, l := range g.logged {
		if value, ok := l.value(header); ok {
			attrs = append(attrs, slog.String(l.name, value))
		}
	}
	return slog.GroupAttrs("headers", attrs...)
}

// milliseconds has the microseconds behind its point.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
