package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"gatehouse/proxy"
)

// redirect answers plain http where https is spoken.
type redirect struct {
	http     *http.Server
	listener net.Listener
}

// openRedirect listens; challenge, if any, looks at each request first.
func openRedirect(ctx context.Context, text string, challenge func(http.Handler) http.Handler, logger *slog.Logger) (*redirect, error) {
	address, err := proxy.ParseAddress(text)
	if err != nil {
		return nil, err
	}
	opened, err := open(ctx, address, 0)
	if err != nil {
		return nil, err
	}
	var handler http.Handler = http.HandlerFunc(toHTTPS)
	if challenge != nil {
		handler = challenge(handler)
	}
	return &redirect{listener: opened[0], http: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}}, nil
}

func (r *redirect) serve() error {
	err := r.http.Serve(r.listener)
	if errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return fmt.Errorf("listening on %s: %w", r.listener.Addr(), err)
}

// toHTTPS sends readers to port 443. Whoever sends something has sent it in the clear
// already, a password perhaps: it is refused, so that the mistake is noticed.
func toHTTPS(w http.ResponseWriter, in *http.Request) {
	w.Header()["Date"] = nil
	w.Header().Set("Connection", "close")
	host := proxy.HostName(in.Host)
	switch {
	case host == "" || in.RequestURI == "" || in.RequestURI[0] != '/' || len(in.RequestURI) > 8<<10:
		answer(w, http.StatusBadRequest, `{"detail":"Malformed request."}`)
	case in.Method != http.MethodGet && in.Method != http.MethodHead:
		answer(w, http.StatusForbidden, `{"detail":"Only https is served here; what was sent could be read on the way."}`)
	default:
		// Not http.Redirect: it would clean the path.
		w.Header().Set("Location", "https://"+host+in.RequestURI)
		answer(w, http.StatusPermanentRedirect, "")
	}
}

func answer(w http.ResponseWriter, status int, body string) {
	if body != "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
