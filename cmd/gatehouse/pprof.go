package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/http/pprof"
	"strings"
)

// pprofHandler answers /debug/pprof/ for whoever has the key.
func pprofHandler(key string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	want := sha256.Sum256([]byte(key))
	return http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		_, given, ok := in.BasicAuth()
		if !ok {
			given, ok = strings.CutPrefix(in.Header.Get("Authorization"), "Bearer ")
		}
		// The digests are of one length whatever was given, so that the time says nothing.
		got := sha256.Sum256([]byte(given))
		if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="pprof"`)
			http.Error(w, "the key of server.pprof is asked for", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, in)
	})
}
