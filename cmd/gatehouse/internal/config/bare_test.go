package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWithoutAFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(environ ...string) (*Loaded, error) { return Load(Input{Environ: environ}) }

	t.Run("one upstream, one key, what is public", func(t *testing.T) {
		got, err := load("GATEHOUSE_UPSTREAM=http://127.0.0.1:8000", "GATEHOUSE_SECRET_FILE="+secret,
			"GATEHOUSE_PUBLIC=/static/*,/healthz", "GATEHOUSE_SERVER_LISTEN=:9000")
		if err != nil {
			t.Fatal(err)
		}
		if url := got.Upstreams["app"].URL; url != "http://127.0.0.1:8000" {
			t.Errorf("the upstream is %q", url)
		}
		if key := got.Tokens.Keys[0]; key.Secret != "0123456789abcdef0123456789abcdef" || key.Algorithm != "HS256" {
			t.Errorf("the key is %+v", key)
		}
		if !slices.Equal(got.Server.Listen, []string{":9000"}) {
			t.Errorf("it listens on %q", got.Server.Listen)
		}
		if len(got.Routes) != 1 || got.Routes[0].To != "app" || got.Routes[0].Auth.Word != "" {
			t.Fatalf("the routes are %+v, want one that is closed", got.Routes)
		}
		var public []string
		for _, rule := range got.Routes[0].Rules {
			if rule.Auth.Word != "public" {
				t.Errorf("rule %+v", rule)
			}
			public = append(public, rule.Path)
		}
		if want := "/static/* /healthz"; strings.Join(public, " ") != want {
			t.Errorf("public is %q, want %q", public, want)
		}
	})

	t.Run("nothing public", func(t *testing.T) {
		got, err := load("GATEHOUSE_UPSTREAM=http://127.0.0.1:8000", "GATEHOUSE_SECRET=0123456789abcdef0123456789abcdef")
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Routes[0].Rules) != 0 {
			t.Errorf("got rules %+v", got.Routes[0].Rules)
		}
	})

	for _, c := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"the secret twice", []string{"GATEHOUSE_UPSTREAM=http://a", "GATEHOUSE_SECRET=x", "GATEHOUSE_SECRET_FILE=" + secret}, "GATEHOUSE_SECRET_FILE: tokens.keys[0].secret_file: is set beside GATEHOUSE_SECRET"},
		{"a file that is not there", []string{"GATEHOUSE_UPSTREAM=http://a", "GATEHOUSE_SECRET_FILE=" + secret + "2"}, "cannot be read"},
		{"a misspelled variable", []string{"GATEHOUSE_UPSTREAM=http://a", "GATEHOUSE_SECRETFILE=x"}, "did you mean GATEHOUSE_SECRET_FILE?"},
		{"a first user without a password", []string{"GATEHOUSE_UPSTREAM=http://a", "GATEHOUSE_SECRET=x", "GATEHOUSE_BOOTSTRAP_USER=root"}, "GATEHOUSE_BOOTSTRAP_USER: bootstrap.user: has no password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(c.environ...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}

	t.Run("a fault of a room names the variable", func(t *testing.T) {
		got, err := load("GATEHOUSE_UPSTREAM=http://a", "GATEHOUSE_SECRET=short")
		if err != nil {
			t.Fatal(err)
		}
		if at := got.Where("tokens.keys[0].secret"); at != "GATEHOUSE_SECRET" {
			t.Errorf("got %q", at)
		}
		if at := got.Where("upstreams.app.url"); at != "GATEHOUSE_UPSTREAM" {
			t.Errorf("got %q", at)
		}
	})

	t.Run("beside a file it is an error", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gatehouse.yaml")
		if err := os.WriteFile(path, []byte("server: { listen: \":80\" }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Input{Path: path, Environ: []string{"GATEHOUSE_UPSTREAM=http://a"}})
		if err == nil || !strings.Contains(err.Error(), "GATEHOUSE_UPSTREAM: counts only where there is no configuration file") {
			t.Errorf("got %v", err)
		}
	})
}
