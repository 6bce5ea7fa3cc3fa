package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/cmd/gatehouse/internal/audit"
)

// admin answers orchestrators on a listener of its own, which clients do not
// reach: /livez, /readyz, /metrics, and with a key /debug/pprof/.
type admin struct {
	http     *http.Server
	listener net.Listener
	stopping *atomic.Bool
	// condition asks the store; serving: requests are answered although it is away.
	condition func(context.Context) (serving bool, err error)
	unwell    func() (issuers map[string]string, keyDir string)

	audit     *audit.Stream     // nil: there is none
	complaint func() *complaint // why what is written is not in effect; nil: nobody looks
}

// pingTime is how long the store may take to show that it is there.
const pingTime = 2 * time.Second

func newAdmin(listener net.Listener, stopping *atomic.Bool, condition func(context.Context) (bool, error), unwell func() (issuers map[string]string, keyDir string), metrics http.Handler, pprofKey string, logger *slog.Logger) *admin {
	a := &admin{listener: listener, stopping: stopping, condition: condition, unwell: unwell}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { report(w, http.StatusOK, readiness{Status: "alive"}) })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", metrics)
	if pprofKey != "" {
		mux.Handle("/debug/pprof/", pprofHandler(pprofKey))
	}
	a.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	return a
}

// serve answers until stop.
func (a *admin) serve(logger *slog.Logger) {
	if err := a.http.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		logger.Error("the admin listener broke", slog.Any("error", err))
	}
}

// readyz is 200 while requests should be sent here, and says why not otherwise.
func (a *admin) readyz(w http.ResponseWriter, in *http.Request) {
	var reasons []string
	if a.stopping.Load() {
		reasons = append(reasons, "stopping")
	}
	detail := readiness{Status: "ready"}
	detail.Issuers, detail.KeyDir = a.unwell()
	ctx, cancel := context.WithTimeout(in.Context(), pingTime)
	defer cancel()
	switch serving, err := a.condition(ctx); {
	case err == nil:
	case serving: // to send requests elsewhere would not help them
		detail.Reasons = append(detail.Reasons, "the store does not answer; users who are known are served, logins are not")
	default:
		reasons = append(reasons, "the store does not answer")
	}
	if len(reasons) > 0 {
		detail.Status, detail.Reasons = "not ready", reasons
		report(w, http.StatusServiceUnavailable, detail)
		return
	}
	// It goes on with what it had, so this is no reason to send requests elsewhere. Where
	// the fault is, is told here; what is wrong is for its author, in the log.
	if a.complaint != nil {
		if c := a.complaint(); c != nil {
			detail.Reasons = append(detail.Reasons, "the changed configuration cannot be used ("+c.where+"); the one before it is in effect")
		}
	}
	if a.audit.Trouble() != "" {
		detail.Reasons = append(detail.Reasons, "the audit cannot be written")
	}
	report(w, http.StatusOK, detail)
}

// readiness is the answer of /readyz. Issuers and KeyDir say what is wrong with
// trusted issuers and with the key directory, which makes no gateway unready.
type readiness struct {
	Status  string            `json:"status"`
	Reasons []string          `json:"reasons,omitempty"`
	Issuers map[string]string `json:"issuers,omitempty"`
	KeyDir  string            `json:"key_dir,omitempty"`
}

func report(w http.ResponseWriter, status int, detail readiness) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(detail)
}
