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
