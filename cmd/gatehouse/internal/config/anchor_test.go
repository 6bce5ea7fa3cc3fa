package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A command that runs elsewhere must read the same files.
func TestRelativeFilesAreBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gatehouse.yaml")
	text := `
server:
  tls: { cert_file: tls/tls.crt, key_file: /etc/tls.key, certificates: [{ cert_file: b.crt, key_file: b.key }] }
upstreams: { App: { url: "https://a", tls: { ca_file: ca.pem } } }
routes: [{ to: App }]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(Input{Path: path, Environ: []string{"GATEHOUSE_SERVER_TLS_ACME_CACHE_DIR=acme", "GATEHOUSE_SERVER_TLS_ACME_CA_FILE=ca2.pem"}})
	if err != nil {
		t.Fatal(err)
	}
	tls := loaded.Server.TLS
	got := []string{
		tls.CertFile, tls.KeyFile, tls.Certificates[0].CertFile, tls.Certificates[0].KeyFile, tls.ACME.CAFile, loaded.Upstreams["App"].TLS.CAFile, tls.ACME.CacheDir,
	}
	want := []string{dir + "/tls/tls.crt", "/etc/tls.key", dir + "/b.crt", dir + "/b.key", "ca2.pem", dir + "/ca.pem", "acme"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, file := range want[:6] {
		if !slices.Contains(loaded.Read, file) {
			t.Errorf("%s is not among the files that were read: %q", file, loaded.Read)
		}
	}
}

// A path of the audit is told from a word by its slash, which it must keep when both it
// and the configuration are in the working directory.
func TestTheAuditIsBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("site", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ config, said, file string }{
		{"gatehouse.yaml", "./audit.jsonl", "audit.jsonl"},
		{"site/gatehouse.yaml", "./audit.jsonl", "site/audit.jsonl"},
		{"site/gatehouse.yaml", "../audit.jsonl", "audit.jsonl"},
		{"gatehouse.yaml", "logs/audit.jsonl", "logs/audit.jsonl"},
		{filepath.Join(dir, "site", "gatehouse.yaml"), "../audit.jsonl", filepath.Join(dir, "audit.jsonl")},
		{"site/gatehouse.yaml", "/var/log/audit.jsonl", "/var/log/audit.jsonl"},
	} {
		if err := os.WriteFile(c.config, []byte("audit: { output: "+c.said+" }\nupstreams: { app: { url: http://a } }\nroutes: [{ to: app }]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(Input{Path: c.config})
		if err != nil {
			t.Fatal(err)
		}
		if faults := loaded.Audit.Check(); len(faults) != 0 {
			t.Errorf("%s in %s: %v", c.said, c.config, faults)
		}
		if got := filepath.Clean(loaded.Audit.Path()); got != c.file {
			t.Errorf("%s in %s goes to %s, want %s", c.said, c.config, got, c.file)
		}
	}
}
