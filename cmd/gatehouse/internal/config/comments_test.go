package config

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the schema says about a key is what the source says about its field. To
// renew it: GATEHOUSE_TEST_UPDATE=1 go test ./cmd/gatehouse/internal/config
func TestCommentsAreThoseOfTheSource(t *testing.T) {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(sourceComments(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "comments.json", text.Bytes())
}

func sourceComments(t *testing.T) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for typ := range reachable(reflect.TypeFor[File]()) {
		all[nameOf(typ)] = fieldComments(t, typ)
	}
	return all
}

// golden compares with a file of the repository, or writes it.
func golden(t *testing.T, path string, want []byte) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_UPDATE") != "" {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; run GATEHOUSE_TEST_UPDATE=1 go test ./cmd/gatehouse/internal/config", path)
	}
}

// reachable finds every struct of ours that a file can say something about.
func reachable(typ reflect.Type) map[reflect.Type]bool {
	found := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(typ.Elem())
		case reflect.Struct:
			if found[typ] || !strings.HasPrefix(typ.PkgPath(), "gatehouse/") {
				return
			}
			found[typ] = true
			for i := range typ.NumField() {
				if _, ok := typ.Field(i).Tag.Lookup("mapstructure"); ok {
					visit(typ.Field(i).Type)
				}
			}
		}
	}
	visit(typ)
	return found
}

var links = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// fieldComments reads the comments of a struct out of its package. Names of fields
// become those of the keys.
func fieldComments(t *testing.T, typ reflect.Type) map[string]string {
	t.Helper()
	dir := filepath.Join("../../../..", strings.TrimPrefix(typ.PkgPath(), "gatehouse/"))
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != typ.Name() {
				return true
			}
			body, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			last := ""
			for _, f := range body.Fields.List {
				for _, name := range f.Names {
					text := f.Doc.Text()
					if text == "" && strings.Contains(last, name.Name) {
						text = last // one comment for several fields
					}
					said[name.Name], last = plainComment(typ, text), text
				}
			}
			return false
		})
	}
	return said
}

// plainComment makes of a comment what people read who write YAML: the names of
// fields become those of keys.
func plainComment(typ reflect.Type, text string) string {
	text = strings.TrimSpace(links.ReplaceAllString(text, "$1"))
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = strings.Join(strings.Fields(p), " ")
	}
	text = strings.Join(paragraphs, "\n\n")
	for i := range typ.NumField() {
		key, _, _ := strings.Cut(typ.Field(i).Tag.Get("mapstructure"), ",")
		if key == "" || key == "-" {
			continue
		}
		name := regexp.QuoteMeta(typ.Field(i).Name)
		if strings.HasPrefix(text, typ.Field(i).Name+" ") {
			text = key + text[len(typ.Field(i).Name):]
		}
		if strings.Contains(key, "_") { // a name of one word is also a word
			text = regexp.MustCompile(`\b`+name+`\b`).ReplaceAllString(text, key)
		}
	}
	return text
}

// Whoever reads a key in an editor learns what it is for.
func TestEveryKeyIsExplained(t *testing.T) {
	said := comments()
	for _, typ := range slices.SortedFunc(maps.Keys(reachable(reflect.TypeFor[File]())), func(a, b reflect.Type) int { return strings.Compare(nameOf(a), nameOf(b)) }) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
			if name == "" || options == "squash" {
				continue
			}
			if len(said[nameOf(typ)][f.Name]) < 10 {
				t.Errorf("%s.%s (%s) has no comment", nameOf(typ), f.Name, name)
			}
		}
	}
}
