package postgres

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Files are what a client of a server that speaks TLS needs, as PEM.
type Files struct{ Authority, Certificate, Key string }

// OnlyTLS lets nobody into a database but over TLS and with a certificate for the user
// gatehouse. The server's is for 127.0.0.1 alone.
func (s *Server) OnlyTLS(t testing.TB, database string) Files {
	t.Helper()
	authority, authorityKey := newCertificate(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	server, serverKey := newCertificate(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "a database"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, authority, authorityKey)
	client, clientKey := newCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "gatehouse"}}, authority, authorityKey)

	data := filepath.Join(s.dir, "data")
	writePEM(t, filepath.Join(data, "root.crt"), "CERTIFICATE", authority.Raw)
	writePEM(t, filepath.Join(data, "server.crt"), "CERTIFICATE", server.Raw)
	writeKey(t, filepath.Join(data, "server.key"), serverKey)
	rules := "hostssl " + database + " all all cert\nhost " + database + " all all reject\nlocal all all trust\nhost all all all trust\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.as != nil {
		for _, name := range []string{"root.crt", "server.crt", "server.key", "pg_hba.conf"} {
			if err := os.Chown(filepath.Join(data, name), int(s.as.Uid), int(s.as.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.SQL(t, "postgres", `ALTER SYSTEM SET ssl_ca_file = 'root.crt'`)
	s.SQL(t, "postgres", `ALTER SYSTEM SET ssl = on`)
	s.SQL(t, "postgres", `SELECT pg_reload_conf()`)

	dir := t.TempDir()
	files := Files{filepath.Join(dir, "ca.crt"), filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")}
	writePEM(t, files.Authority, "CERTIFICATE", authority.Raw)
	writePEM(t, files.Certificate, "CERTIFICATE", client.Raw)
	writeKey(t, files.Key, clientKey)
	dsn := fmt.Sprintf("postgres://gatehouse@127.0.0.1:%d/%s?sslmode=verify-full&sslrootcert=%s&sslcert=%s&sslkey=%s",
		s.port, database, files.Authority, files.Certificate, files.Key)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgconn.Connect(t.Context(), dsn)
		if err == nil {
			_ = conn.Close(t.Context())
			return files
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("PostgreSQL does not speak TLS: %v", err)
		}
	}
}

// newCertificate makes one that its issuer signs, or itself where there is none.
func newCertificate(t testing.TB, template, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func writeKey(t testing.TB, path string, key *ecdsa.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, path, "PRIVATE KEY", der)
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
