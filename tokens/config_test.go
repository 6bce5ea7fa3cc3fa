package tokens_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users/userstest"
)

// fields lists where the faults of an error are, through any nesting.
func fields(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []string
		for _, e := range joined.Unwrap() {
			list = append(list, fields(e)...)
		}
		return list
	}
	if f, ok := err.(interface{ Field() string }); ok {
		return []string{f.Field()}
	}
	return []string{"no field: " + err.Error()}
}

func TestFaultsOfTheConfiguration(t *testing.T) {
	store := userstest.Open(t)
	for _, c := range []struct {
		name   string
		change func(*tokens.Config)
		want   []string
	}{
		{"no key", func(c *tokens.Config) { c.Keys = nil }, []string{"keys"}},
		{"a short secret", func(c *tokens.Config) { c.Keys[0].Secret = "short" }, []string{"keys[0].secret"}},
		{"no base path", func(c *tokens.Config) { c.BasePath = "" }, []string{"base_path"}},
		{"the root as base path", func(c *tokens.Config) { c.BasePath = "/" }, []string{"base_path"}},
		{"a base path with a slash behind", func(c *tokens.Config) { c.BasePath = "/api/token/" }, []string{"base_path"}},
		{"a base path without a slash before", func(c *tokens.Config) { c.BasePath = "api/token" }, []string{"base_path"}},
		{"a base path with a double slash", func(c *tokens.Config) { c.BasePath = "/api//token" }, []string{"base_path"}},
		{"a base path with dots", func(c *tokens.Config) { c.BasePath = "/api/../token" }, []string{"base_path"}},
		{"a base path with an escape", func(c *tokens.Config) { c.BasePath = "/api/%74oken" }, []string{"base_path"}},
		{"a base path with a query", func(c *tokens.Config) { c.BasePath = "/api?x" }, []string{"base_path"}},
		{"a URL as base path", func(c *tokens.Config) { c.BasePath = "https://x.test/api" }, []string{"base_path"}},
		{"no lifetimes", func(c *tokens.Config) { c.AccessLifetime, c.RefreshLifetime = 0, 0 }, []string{"access_lifetime", "refresh_lifetime"}},
		{"a lifetime below zero", func(c *tokens.Config) { c.RefreshLifetime = -time.Hour }, []string{"refresh_lifetime"}},
		{"a lifetime in the wrong unit", func(c *tokens.Config) { c.AccessLifetime = 5 * time.Microsecond }, []string{"access_lifetime"}},
		{"a lifetime of a century", func(c *tokens.Config) { c.AccessLifetime = 100 * 365 * 24 * time.Hour }, []string{"access_lifetime"}},
		{"a leeway below zero", func(c *tokens.Config) { c.Leeway = -time.Second }, []string{"leeway"}},
		{"a leeway of a day", func(c *tokens.Config) { c.Leeway = 24 * time.Hour }, []string{"leeway"}},
		{"an empty audience", func(c *tokens.Config) { c.Audience.Names = []string{"a", ""} }, []string{"audience[1]"}},
		{
			"everything at once",
			func(c *tokens.Config) {
				c.BasePath, c.AccessLifetime, c.Leeway, c.Keys[0].Algorithm = "x", 0, -1, "none"
			},
			[]string{"base_path", "access_lifetime", "leeway", "keys[0].alg"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings()
			c.change(&cfg)
			a, err := tokens.New(cfg, tokens.Parts{Store: store})
			if a != nil || err == nil {
				t.Fatalf("got %v, %v; want a refusal", a, err)
			}
			if got := fields(err); !slices.Equal(got, c.want) {
				t.Errorf("got faults at %v, want %v", got, c.want)
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if problem, fix, ok := strings.Cut(line, "; "); !ok || problem == "" || fix == "" {
					t.Errorf("%q does not say what is wrong and what to write", line)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}

func TestDefaultsAreThoseOfSimpleJWT(t *testing.T) {
	cfg := tokens.DefaultConfig()
	if cfg.BasePath != "/api/token" || cfg.AccessLifetime != 5*time.Minute || cfg.RefreshLifetime != 24*time.Hour ||
		cfg.Leeway != 0 || cfg.Issuer != "" || cfg.Audience.Names != nil || cfg.Keys != nil {
		t.Errorf("got %+v", cfg)
	}
}

func TestAStoreMustBeGiven(t *testing.T) {
	_, err := tokens.New(settings(), tokens.Parts{})
	if _, fault := errors.AsType[*tokens.Fault](err); err == nil || fault {
		t.Errorf("got %v, want an error that is no fault of the configuration", err)
	}
}
