package config

import (
	"reflect"
	"slices"
	"strings"

	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens/keys"
)

// bare is the smallest configuration, for a container that is given nothing but
// variables: one upstream, one key, what is public. It exists only where there is
// no file, so that nobody has to find out which of the two counts.
type bare struct {
	Upstream   string   `mapstructure:"upstream"`    // GATEHOUSE_UPSTREAM: upstreams.app.url
	Secret     string   `mapstructure:"secret"`      // GATEHOUSE_SECRET: tokens.keys[0].secret
	SecretFile string   `mapstructure:"secret_file"` // GATEHOUSE_SECRET_FILE
	Public     []string `mapstructure:"public"`      // GATEHOUSE_PUBLIC: paths with auth: public
}

// Bare tells whether the environment asks for a configuration without a file.
func Bare(environ []string) bool {
	return slices.ContainsFunc(environ, func(assignment string) bool {
		url, ok := strings.CutPrefix(assignment, Prefix+"UPSTREAM=")
		return ok && url != ""
	})
}

// bareFault is for a variable of bare beside a file.
func bareFault(name, path string) Fault {
	return Fault{Source: name, Problem: "counts only where there is no configuration file, and " + show(path) + " is there; unset it, and say so in the file"}
}

// fill takes what the variables of bare say out of said and writes it to the keys
// that it stands for, so that faults name both.
func (l *Loaded) fill(said map[string]any) {
	take := func(name, key string) string {
		text, _ := said[name].(string)
		delete(said, name)
		if text != "" {
			l.places.elsewhere(key, Prefix+strings.ToUpper(name))
		}
		return text
	}
	// What is missing is missing from a variable too.
	l.places.elsewhere("tokens.keys[0]", Prefix+"SECRET_FILE")
	l.Upstreams = map[string]upstream.Config{"app": {URL: take("upstream", "upstreams.app.url")}}
	l.Tokens.Keys = []keys.Config{{
		ID: "main", Algorithm: "HS256",
		Secret:     take("secret", "tokens.keys[0].secret"),
		SecretFile: take("secret_file", "tokens.keys[0].secret_file"),
	}}
	site := route.Config{Name: "app", To: "app"}
	public, _ := said["public"].([]string)
	delete(said, "public")
	for i, path := range public {
		site.Rules = append(site.Rules, route.RuleConfig{Path: path, Auth: route.Auth{Word: "public"}})
		l.places.elsewhere(Item("routes[0].rules", i), Prefix+"PUBLIC")
	}
	l.Routes = []route.Config{site}
}

func bareVariables() []variable { return variablesOf(reflect.TypeFor[bare]()) }
