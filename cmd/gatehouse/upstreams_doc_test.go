package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/gatehouse/internal/config"
)

// The example of docs/upstreams.md is a whole configuration, and says what the page
// says about it.
func TestTheExampleOfUpstreamsLoads(t *testing.T) {
	page, err := os.ReadFile("../../docs/upstreams.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 1 {
		t.Fatalf("found %d examples, want 1", len(blocks))
	}

	dir := t.TempDir()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"jwt.key":        "an-example-signing-key-of-32-bytes!!\n",
		"ca.pem":         string(certificate),
		"us.pem":         string(certificate),
		"us.key":         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"gatehouse.yaml": strings.ReplaceAll(blocks[0][1], "/etc/gatehouse/", dir+"/"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	loaded, err := config.Load(config.Input{Path: filepath.Join(dir, "gatehouse.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.Warnings) > 0 {
		t.Error(loaded.Warnings)
	}
	if _, err := compile(loaded); err != nil {
		t.Error(err)
	}
	crm := loaded.Upstreams["crm"]
	if len(crm.URLs) != 2 || crm.Balance != "sticky" || crm.Health.Interval != 5*time.Second || crm.MaxConnections != 40 || *crm.MaxPending != 80 {
		t.Errorf("crm: %+v", crm)
	}
	rules := loaded.Routes[0].Rules
	if d := rules[0].Timeouts.FirstByte; d == nil || *d != 0 {
		t.Errorf("first_byte of the export: %v, want 0s", d)
	}
	if d := rules[1].Timeouts.Idle; d == nil || *d != 90*time.Second {
		t.Errorf("idle of the feed: %v, want 90s", d)
	}

	// One missing file of tls is found out now, and not by a client.
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := compile(loaded); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("got %v, want a fault about ca.pem", err)
	}
}
