package config

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
)

// leftOut finds the keys of the example that are usually left out.
var leftOut = regexp.MustCompile(`(?m)^( *)#([A-Za-z])`)

// example returns config.example.yaml.
func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// writeExample puts a text beside the secrets that the example names.
func writeExample(t *testing.T, text string) string {
	t.Helper()
	path := write(t, text)
	writeSecret(t, filepath.Join(filepath.Dir(path), "jwt.key"), secret+"\n")
	writeSecret(t, filepath.Join(filepath.Dir(path), "old.key"), secret+"\n")
	return path
}

func TestTheExampleLoadsAndSaysTheDefaults(t *testing.T) {
	loaded, err := Load(Input{Path: writeExample(t, example(t)), Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.Warnings) > 0 {
		t.Error(loaded.Warnings)
	}
	want := Defaults()
	got := loaded.File
	// These have no default: they are examples.
	got.Tokens.Keys, got.Tokens.TrustedIssuers, got.Upstreams, got.Routes, got.Tests, got.CORS = nil, nil, nil, nil, nil, nil
	got.Identity.Headers = nil
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("default -, example +:\n%s", diff)
	}
}

func TestTheExampleHasEveryKey(t *testing.T) {
	root, line, problem := parse([]byte(leftOut.ReplaceAllString(example(t), "$1$2")))
	if problem != "" {
		t.Fatalf("line %d: %s", line, problem)
	}
	found := map[string]bool{}
	keysOf(root, reflect.TypeFor[File](), "", found)
	everyKey(reflect.TypeFor[File](), "", func(path string, _ field) {
		if !found[path] {
			t.Errorf("%s is missing from the example", path)
		}
		delete(found, path)
	})
	for _, path := range slices.Sorted(maps.Keys(found)) {
		t.Errorf("%s is in the example and no key of the program", path)
	}
}

// keysOf notes the keys below a node, in the form of everyKey.
func keysOf(node *yaml.Node, typ reflect.Type, path string, found map[string]bool) {
	switch {
	case typ.Kind() == reflect.Pointer:
		keysOf(node, typ.Elem(), path, found)
	case typ.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for _, element := range node.Content {
			keysOf(element, typ.Elem(), path+"[]", found)
		}
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i].Value, node.Content[i+1]
			if typ.Kind() == reflect.Map {
				keysOf(value, typ.Elem(), path+".*", found)
				continue
			}
			at := join(path, key)
			found[at] = true
			if f, ok := find(fieldsOf(typ), key); ok {
				keysOf(value, f.typ, at, found)
			}
		}
	}
}

func TestEachKeyThatTheExampleLeavesOutCanBeWritten(t *testing.T) {
	text := example(t)
	places := leftOut.FindAllStringSubmatchIndex(text, -1)
	if len(places) < 5 {
		t.Fatalf("found %d keys that are left out", len(places))
	}
	for _, at := range places {
		line, _, _ := strings.Cut(text[at[4]:], "\n")
		key, _, _ := strings.Cut(line, ":")
		t.Run(key, func(t *testing.T) {
			_, err := Load(Input{Path: writeExample(t, text[:at[3]]+text[at[4]:])})
			// Beside its twin, with a file that is not there, or half said: that it is read at all shows here.
			for _, fault := range faultsOf(t, err, "") {
				if !strings.Contains(fault, "is set beside") && !strings.Contains(fault, "cannot be read: no such file") &&
					!strings.Contains(fault, "has no password") && !strings.Contains(fault, "belongs to nobody") {
					t.Error(fault)
				}
			}
		})
	}
}

func TestTheExampleExplainsEachKeyInItsLine(t *testing.T) {
	explained := map[string]bool{}
	key := regexp.MustCompile(`^ *(?:- )?#?([A-Za-z][\w-]*):(.*)$`)
	for line := range strings.Lines(example(t)) {
		if found := key.FindStringSubmatch(strings.TrimSuffix(line, "\n")); found != nil {
			explained[found[1]] = explained[found[1]] || strings.Contains(found[2], "  # ") || found[2] == ""
		}
	}
	for _, key := range slices.Sorted(maps.Keys(explained)) {
		if !explained[key] {
			t.Errorf("%s has no explanation", key)
		}
	}
}
