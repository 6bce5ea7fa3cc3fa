package config

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("gatehouse.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("gatehouse.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t testing.TB, schema *jsonschema.Schema, text string) error {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	// Through JSON, since that is what a validator in an editor sees.
	asJSON, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// What the loader takes the schema takes.
func TestSchemaTakesGoodFiles(t *testing.T) {
	schema := compiledSchema(t)
	example, err := os.ReadFile("../../../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"the example": string(example),
		"the smallest": `
tokens: { keys: [{ kid: main, alg: HS256, secret_file: /run/secrets/jwt }] }
upstreams: { app: { url: http://127.0.0.1:8000 } }
routes: [{ to: app, rules: [{ path: /static/*, auth: public }] }]`,
		"one word for a list":        "routes: [{ to: app, host: a.example.com, rules: [{ path: /x, methods: GET }] }]",
		"a policy as a map":          "routes: [{ to: app, auth: { groups: [staff] } }]",
		"a number as a name":         "tokens: { keys: [{ kid: 2026, alg: HS256, secret_file: jwt }] }",
		"durations":                  "server: { idle_timeout: 1m30s, drain: { delay: 0, timeout: 1d12h } }",
		"sizes":                      "server: { max_body: 20MiB, max_header_bytes: 32768 }",
		"a heading without keys":     "server:\nroutes:\n",
		"a header of a nested claim": "identity: { headers: { X-User-Dept: { claim: [profile, department], default: '' } } }",
	} {
		t.Run(name, func(t *testing.T) {
			if err := validate(t, schema, text); err != nil {
				t.Error(err)
			}
		})
	}
}

// And an editor underlines what the loader would refuse.
func TestSchemaRefusesMistakes(t *testing.T) {
	schema := compiledSchema(t)
	for name, test := range map[string]struct{ text, at string }{
		"a misspelled section":            {"servr: {}", "servr"},
		"a misspelled key":                {"server: { lisen: ':80' }", "lisen"},
		"a misspelled key in a rule":      {"routes: [{ to: app, rules: [{ path: /x, method: [GET] }] }]", "method"},
		"a misspelled word":               {"routes: [{ to: app, auth: pubic }]", "auth"},
		"a duration without a unit":       {"tokens: { access_lifetime: 300 }", "access_lifetime"},
		"text for a number":               {"login: { hashing: { max_queue: many } }", "max_queue"},
		"text for yes or no":              {"identity: { forward_token: 'yes' }", "forward_token"},
		"a list where a map belongs":      {"server: [1]", "server"},
		"a secret said twice":             {"tokens: { keys: [{ alg: HS256, secret: x, secret_file: y }] }", "keys"},
		"an unknown policy key":           {"routes: [{ to: app, auth: { group: [staff] } }]", "auth"},
		"a misspelled key of an upstream": {"upstreams: { app: { ur: http://a } }", "ur"},
		"a store that is not known":       {"store: { driver: mysql }", "driver"},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, schema, test.text)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.at) {
				t.Errorf("%v: does not name %s", err, test.at)
			}
		})
	}
}
