package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// docs/configuration.md is made of the Config types. To renew it:
// GATEHOUSE_TEST_UPDATE=1 go test ./cmd/gatehouse/internal/config
func TestTheReferenceIsThatOfTheSource(t *testing.T) {
	r := reference{said: sourceComments(t)}
	r.line("# Configuration reference")
	r.line("")
	r.line("Every key, made from the source. [`config.example.yaml`](../config.example.yaml) has them all in one file; `gatehouse schema` prints the")
	r.line("JSON Schema with which an editor completes and explains them. `[]` is an entry of a list, `NAME` a name that you choose.")
	r.line("A name in capitals is the environment variable that sets the same; where there is none, the value cannot come from one.")
	r.section(reflect.TypeFor[File](), reflect.ValueOf(Defaults()), "", nil)
	golden(t, "../../../../docs/configuration.md", []byte(r.text.String()))
}

type reference struct {
	said map[string]map[string]string
	text strings.Builder
}

func (r *reference) line(format string, args ...any) { fmt.Fprintf(&r.text, format+"\n", args...) }

// section writes the keys of a struct, and below them those of its sections.
func (r *reference) section(typ reflect.Type, defaults reflect.Value, path string, outer []reflect.Type) {
	for _, up := range outer {
		if up == typ {
			r.line("\nIts keys are those above.")
			return
		}
	}
	s := schema{comments: r.said}
	for _, f := range fieldsOf(typ) {
		at := join(path, f.name)
		var standard reflect.Value
		if defaults.IsValid() {
			standard = defaults.FieldByIndex(f.index)
		}
		inner, below := holds(f.typ)
		if path == "" {
			r.line("\n## `%s`", at)
		} else {
			r.line("\n### `%s`", at)
		}
		r.line("\n%s", r.facts(f, at, standard))
		if text := s.comment(typ, f.index); text != "" {
			r.line("\n%s", text)
		}
		if inner != nil {
			if inner != f.typ {
				standard = reflect.Value{}
			}
			r.section(inner, standard, at+below, append(outer, typ))
		}
	}
}

// holds tells which section is below a key, and how its place is written.
func holds(typ reflect.Type) (inner reflect.Type, below string) {
	for {
		switch typ.Kind() {
		case reflect.Pointer:
			typ = typ.Elem()
		case reflect.Slice:
			typ, below = typ.Elem(), below+"[]"
		case reflect.Map:
			typ, below = typ.Elem(), below+".NAME"
		case reflect.Struct:
			if len(fieldsOf(typ)) == 0 {
				return nil, ""
			}
			return typ, below
		default:
			return nil, ""
		}
	}
}

// facts is one line: what is written there, its default, its variable.
func (r *reference) facts(f field, at string, standard reflect.Value) string {
	parts := []string{form(f)}
	if value, ok := shown(standard); ok {
		text, _ := json.Marshal(value)
		parts = append(parts, "default `"+string(text)+"`")
	}
	for _, v := range variables() {
		if v.key == at {
			parts = append(parts, "`"+v.name+"`")
		}
	}
	return "*" + strings.Join(parts, " · ") + "*"
}

// form is what kind of value is written, in words.
func form(f field) string {
	if f.words != nil {
		return "`" + strings.Join(f.words, "`, `") + "`"
	}
	switch typ := f.typ; {
	case typ.Kind() == reflect.Pointer:
		return form(field{typ: typ.Elem()})
	case typ == reflect.TypeFor[time.Duration]():
		return "duration"
	case isWord(typ):
		name := ""
		if w, ok := reflect.Zero(typ).Interface().(worded); ok {
			name = "`" + strings.Join(w.Words(), "`, `") + "`"
		}
		_, isList := reflect.New(typ).Interface().(listUnmarshaler)
		switch {
		case isList:
			return "text, or list of text"
		case typ.Kind() == reflect.Int64:
			return "size"
		case typ.Kind() == reflect.Struct && name != "":
			return name + ", or a map"
		case typ.Kind() == reflect.Struct:
			if len(fieldsOf(typ)) > 0 {
				return "word or map"
			}
			return "text"
		case name != "":
			return name
		}
		return "text"
	case typ.Kind() == reflect.Slice:
		return "list of " + form(field{typ: typ.Elem()})
	case typ.Kind() == reflect.Map:
		return "map by name"
	case typ.Kind() == reflect.Struct:
		return "section"
	case typ.Kind() == reflect.Bool:
		return "`true` or `false`"
	case isInteger(typ):
		return "number"
	}
	return "text"
}
