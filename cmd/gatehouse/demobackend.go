package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"
)

// demoAnswer is what the protected endpoint of the demo says, to the byte.
const demoAnswer = `{"message": "You have accessed a protected route!"}`

// startDemoBackend runs the backend of the demo on a loopback port that nobody
// else has. Addr of the server is that address.
func startDemoBackend(ctx context.Context) (*http.Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Addr:              listener.Addr().String(),
		Handler:           http.HandlerFunc(demoBackend),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { _ = server.Serve(listener) }()
	return server, nil
}

// demoBackend knows nothing of tokens: it believes the headers that it receives.
func demoBackend(w http.ResponseWriter, in *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if in.URL.Path == "/api/protected-endpoint/" && (in.Method == http.MethodGet || in.Method == http.MethodHead) {
		_, _ = io.WriteString(w, demoAnswer)
		return
	}
	answer := json.NewEncoder(w)
	answer.SetIndent("", "  ")
	_ = answer.Encode(map[string]any{"method": in.Method, "path": in.RequestURI, "host": in.Host, "headers": in.Header})
}
