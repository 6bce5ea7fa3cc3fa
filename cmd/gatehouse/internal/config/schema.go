package config

import (
	_ "embed"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// comments.json is what the Config types say about themselves: type, field, text.
// A test writes it from the source and fails when it is stale.
//
//go:embed comments.json
var commentsFile []byte

// Schema is the configuration as JSON Schema (draft 7, which editors know), with
// what each key is for and its default.
func Schema() any {
	s := schema{defs: map[string]any{}, comments: comments()}
	root := s.section(reflect.TypeFor[File](), reflect.ValueOf(Defaults()))
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "gatehouse configuration"
	root["definitions"] = s.defs
	return root
}

// comments gives what is said about a field of a type, as "route.Config" and "To".
func comments() map[string]map[string]string {
	var all map[string]map[string]string
	if err := json.Unmarshal(commentsFile, &all); err != nil {
		panic(err) // embedded, and read by a test
	}
	return all
}

// schema collects the types that occur in lists and maps, each written once.
type schema struct {
	defs     map[string]any
	comments map[string]map[string]string
}

type object = map[string]any

// section is a struct. defaults is its value where nothing is said, or invalid.
func (s *schema) section(typ reflect.Type, defaults reflect.Value) object {
	properties, twins := object{}, []any{}
	for _, f := range fieldsOf(typ) {
		var standard reflect.Value
		if defaults.IsValid() {
			standard = defaults.FieldByIndex(f.index)
		}
		property := s.value(f.typ, standard)
		if f.words != nil {
			property = object{"enum": anys(f.words)}
		}
		if text := s.comment(typ, f.index); text != "" {
			// Beside a $ref draft 7 reads nothing.
			if _, isRef := property["$ref"]; isRef {
				property = object{"allOf": []any{property}}
			}
			property["description"] = text
		}
		if value, ok := shown(standard); ok && !f.secret {
			property["default"] = value
		}
		properties[f.name] = property
		if f.secret {
			twins = append(twins, object{"not": object{"type": "object", "required": []any{f.name, f.name + "_file"}}})
		}
	}
	section := object{"type": []any{"object", "null"}, "properties": properties, "additionalProperties": false}
	if len(twins) > 0 {
		section["allOf"] = twins
	}
	return section
}

// value is anything that a key may have. The forms are those that the loader reads.
func (s *schema) value(typ reflect.Type, standard reflect.Value) object {
	switch {
	case isSection(typ):
		return s.section(typ, standard)
	case isWord(typ):
		return s.word(typ)
	case typ == durationType:
		return object{"type": []any{"string", "integer"}, "pattern": durationPattern, "maximum": 0, "minimum": 0}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		if standard.IsValid() {
			standard = reflect.Value{}
		}
		return s.value(typ.Elem(), standard)
	case reflect.Slice:
		return s.list(typ.Elem())
	case reflect.Map:
		return object{"type": []any{"object", "null"}, "additionalProperties": s.named(typ.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		// kid: 2026 is taken as it is written.
		return object{"type": []any{"string", "number"}}
	}
	if isInteger(typ) {
		return object{"type": "integer"}
	}
	return object{} // what the loader reads by itself
}

const durationPattern = `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h|d))+$`

// list is a list, or one entry of it where one word says it.
func (s *schema) list(elem reflect.Type) object {
	item := s.named(elem)
	list := object{"type": []any{"array", "null"}, "items": item}
	if isScalar(elem) {
		return object{"anyOf": []any{item, list}}
	}
	return list
}

// named is value, with sections put into the definitions.
func (s *schema) named(typ reflect.Type) object {
	if !isSection(typ) {
		return s.value(typ, reflect.Value{})
	}
	return s.define(typ)
}

func (s *schema) define(typ reflect.Type) object {
	name := nameOf(typ)
	if _, known := s.defs[name]; !known {
		s.defs[name] = true // for a type that holds itself
		s.defs[name] = s.section(typ, reflect.Value{})
	}
	return object{"$ref": "#/definitions/" + name}
}

// worded is a type that says which words it knows, for people and editors.
type worded interface{ Words() []string }

// word is a type that reads a word by itself, and maybe a map as well.
func (s *schema) word(typ reflect.Type) object {
	text := object{"type": []any{"string", "number", "boolean"}}
	if w, ok := reflect.Zero(typ).Interface().(worded); ok {
		text = object{"enum": anys(w.Words())}
	}
	if _, ok := reflect.New(typ).Interface().(listUnmarshaler); ok {
		word := object{"type": []any{"string", "number"}}
		return object{"anyOf": []any{word, object{"type": []any{"array", "null"}, "items": word}}}
	}
	if typ.Kind() != reflect.Struct || len(fieldsOf(typ)) == 0 {
		return text
	}
	return object{"anyOf": []any{text, s.define(typ)}}
}

func anys(words []string) []any {
	list := make([]any, len(words))
	for i, word := range words {
		list[i] = word
	}
	return list
}

// nameOf is "route.Config".
func nameOf(typ reflect.Type) string {
	path := typ.PkgPath()
	return path[strings.LastIndexByte(path, '/')+1:] + "." + typ.Name()
}

// comment finds what is said about a field, inside of embedded types too.
func (s *schema) comment(typ reflect.Type, index []int) string {
	for _, i := range index[:len(index)-1] {
		typ = typ.Field(i).Type
	}
	return s.comments[nameOf(typ)][typ.Field(index[len(index)-1]).Name]
}

// shown is a default as a file would say it; the zero value says nothing.
func shown(v reflect.Value) (any, bool) {
	if !v.IsValid() || v.IsZero() {
		return nil, false
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return nil, false
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return shortDuration(d), true
	}
	if text, ok := v.Interface().(interface{ MarshalText() ([]byte, error) }); ok {
		said, err := text.MarshalText()
		return string(said), err == nil
	}
	return v.Interface(), true
}

// shortDuration is 5m where Go says 5m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
