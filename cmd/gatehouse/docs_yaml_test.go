package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"gatehouse/cmd/gatehouse/internal/config"
)

// Blocks of YAML that are of other programs, by how they begin.
var foreignYAML = []string{"# Traefik's dynamic configuration", "# a filter of Envoy's HTTP connection manager"}

// notWarnedOf are warnings of which a page speaks itself, or that a section has because the
// rest of its file is not shown.
var notWarnedOf = regexp.MustCompile(`everybody passes here|has verified nothing since|no route leads here`)

// Every block of YAML in the documents is a configuration, or a section that makes one with
// the smallest rest, and there is nothing to warn of.
func TestYAMLBlocksOfTheDocuments(t *testing.T) {
	loaded := 0
	for _, b := range blocks(t, "yaml") {
		var text map[string]any
		if err := yaml.Unmarshal([]byte(b.text), &text); err != nil {
			var list []any
			if err := yaml.Unmarshal([]byte(b.text), &list); err != nil {
				t.Errorf("%s: %v", b, err)
			}
		}
		foreign := false
		for _, begin := range foreignYAML {
			foreign = foreign || strings.HasPrefix(b.text, begin)
		}
		if foreign {
			continue
		}
		loaded++
		t.Run(b.String(), func(t *testing.T) { loadsAsDocumented(t, text) })
	}
	if loaded < 20 {
		t.Errorf("found only %d configurations", loaded)
	}
}

// loadsAsDocumented loads a file, or a section with the smallest rest.
func loadsAsDocumented(t *testing.T, file map[string]any) {
	t.Helper()
	dir := t.TempDir()
	complete(file)
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	moved := regexp.MustCompile(`(/etc/gatehouse|/run/secrets|/run/gatehouse|/var/lib/gatehouse|/srv/site|/tls)/`).ReplaceAllString(string(text), dir+"/")
	path := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, path, moved)
	writeNamed(t, dir, file)
	if tokens, ok := file["tokens"].(map[string]any); ok && tokens["key_dir"] != nil {
		var out strings.Builder
		if code := run(t.Context(), []string{"keys", "new", "--config", path}, strings.NewReader(""), &out, &out); code != exitDone {
			t.Fatal(out.String())
		}
	}
	loaded, err := config.Load(config.Input{Path: path})
	if err != nil {
		t.Fatalf("%v\n%s", err, moved)
	}
	g, err := compile(loaded)
	if err != nil {
		t.Fatalf("%v\n%s", err, moved)
	}
	t.Cleanup(g.close)
	if loaded.Store.Driver != "postgres" && loaded.Store.Users.Source == "own" { // nothing is asked that is not here
		if err := lint(t.Context(), loaded, g, nil); err != nil {
			t.Error(err)
		}
	}
	for _, warning := range loaded.Warnings {
		if !notWarnedOf.MatchString(warning.Error()) {
			t.Errorf("%v\n%s", warning, moved)
		}
	}
	if err := rehearse(t.Context(), loaded, g.endpoints); err != nil {
		t.Error(err)
	}
}

// complete adds the sections that every configuration has.
func complete(file map[string]any) {
	section := func(name string) map[string]any {
		s, ok := file[name].(map[string]any)
		if !ok {
			s = map[string]any{}
			file[name] = s
		}
		return s
	}
	if tokens := section("tokens"); tokens["keys"] == nil && tokens["key_dir"] == nil && tokens["trusted_issuers"] == nil {
		tokens["keys"] = []any{map[string]any{"kid": "main", "alg": "HS256", "secret_file": "/etc/gatehouse/jwt"}}
	}
	upstreams := section("upstreams")
	routes, _ := file["routes"].([]any)
	for _, route := range routes {
		if r, ok := route.(map[string]any); ok && upstreams[r["to"].(string)] == nil {
			upstreams[r["to"].(string)] = map[string]any{"url": "http://127.0.0.1:8000"}
		}
	}
	if len(upstreams) == 0 {
		upstreams["app"] = map[string]any{"url": "http://127.0.0.1:8000"}
	}
	if routes == nil {
		for name := range upstreams {
			routes = append(routes, map[string]any{"to": name, "host": name + ".example.com"})
		}
		file["routes"] = routes
	}
}

// writeNamed writes the files that a configuration names.
func writeNamed(t *testing.T, dir string, value any) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			writeNamed(t, dir, v)
		}
	case map[string]any:
		alg, _ := value["alg"].(string)
		for key, v := range value {
			name, isText := v.(string)
			if !isText || !strings.HasSuffix(key, "_file") {
				writeNamed(t, dir, v)
				continue
			}
			if filepath.IsAbs(name) {
				name = regexp.MustCompile(`^(/etc/gatehouse|/run/secrets|/run/gatehouse|/var/lib/gatehouse|/srv/site|/tls)/`).ReplaceAllString(name, "")
			}
			path := filepath.Join(dir, name)
			if exists(path) {
				continue
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			certificate, key2, err := unbelievable()
			if err != nil {
				t.Fatal(err)
			}
			switch key {
			case "secret_file":
				writeFile(t, path, strings.Repeat("0123456789abcdef", 4))
			case "private_key_file", "public_key_file":
				writeFile(t, path, keyFor(t, alg, key == "public_key_file"))
			case "cert_file", "ca_file":
				writeFile(t, path, certificate)
				if other, ok := value["key_file"].(string); ok {
					beside := filepath.Join(dir, regexp.MustCompile(`^/(etc/gatehouse|tls)/`).ReplaceAllString(other, ""))
					if err := os.MkdirAll(filepath.Dir(beside), 0o700); err != nil {
						t.Fatal(err)
					}
					if key == "cert_file" {
						writeFile(t, beside, key2)
					}
				}
			case "key_file": // with its certificate
			case "dsn_file":
				writeFile(t, path, "postgres://gatehouse@127.0.0.1:1/gatehouse?sslmode=verify-full")
			default:
				writeFile(t, path, "a value that is in a file of its own\n")
			}
		}
	}
}

// keyFor makes a key for an algorithm, as PEM.
func keyFor(t *testing.T, alg string, public bool) string {
	t.Helper()
	var private crypto.Signer
	var err error
	switch curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]; {
	case strings.HasPrefix(alg, "RS"), strings.HasPrefix(alg, "PS"):
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case curve != nil:
		private, err = ecdsa.GenerateKey(curve, rand.Reader)
	default:
		_, key, failed := ed25519.GenerateKey(rand.Reader)
		private, err = key, failed
	}
	if err != nil {
		t.Fatal(err)
	}
	kind := "PRIVATE KEY"
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if public {
		kind = "PUBLIC KEY"
		der, err = x509.MarshalPKIXPublicKey(private.Public())
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
