package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/proxy"
	"gatehouse/proxy/upstream"
)

func TestWhatTheSystemSufficesFor(t *testing.T) {
	head := proxy.DefaultConfig().Server.HardHeaderBytes()
	for _, c := range []struct {
		name              string
		room              room
		upstreams         int
		clients, requests int
	}{
		{"a container of 512 MiB", room{1 << 20, 512 << 20}, 1, 1170, 1024},
		{"with many upstreams", room{1 << 20, 512 << 20}, 12, 1170, 512},
		{"1024 files", room{1024, 16 << 30}, 2, 512, 170},
		{"a large machine", room{1 << 20, 64 << 30}, 3, 149796, 65536},
		{"next to nothing", room{20, 1 << 20}, 5, 16, 16},
	} {
		if clients, requests := c.room.clients(head), c.room.requests(c.upstreams); clients != c.clients || requests != c.requests {
			t.Errorf("%s: %d connections of clients and %d requests to each upstream, want %d and %d", c.name, clients, requests, c.clients, c.requests)
		}
	}
	if r := survey(); r.files < 64 || r.memory < 64<<20 {
		t.Errorf("this machine: %+v", r)
	}
}

func TestWarningsAboutOpenFiles(t *testing.T) {
	for _, c := range []struct {
		name  string
		files int64
		want  string
	}{
		{"plenty", 65536, ""},
		{"fewer than anybody wants", 1024, "open_files=1024"},
		{"fewer than are written", 5000, "open_files=5000 max_connections=6000"},
	} {
		var log bytes.Buffer
		loaded := &config.Loaded{}
		loaded.Server = proxy.DefaultConfig().Server
		if c.name != "fewer than anybody wants" {
			loaded.Server.MaxConnections = 4000
			loaded.Upstreams = map[string]upstream.Config{"a": {MaxConnections: 2000}, "b": {}}
		}
		room{c.files, 1 << 30}.warn(loaded, slog.New(slog.NewTextHandler(&log, nil)))
		if got := log.String(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
