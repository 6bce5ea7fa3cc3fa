package config

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var (
	durationType    = reflect.TypeFor[time.Duration]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// field is one key that a section may have, found from the `mapstructure` tag.
type field struct {
	name  string
	typ   reflect.Type
	index []int
	// secret marks a key that has a foo_file twin: its value is never shown.
	secret bool
	// words are all that a text may be, from the tag `words`; nil: any text. The rooms
	// refuse others themselves; this is for the schema.
	words []string
}

// fieldsOf lists the keys of a section in the order of its Go type.
func fieldsOf(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		switch {
		case options == "squash":
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				list = append(list, inner)
			}
		case name != "" && name != "-":
			var words []string
			if said := f.Tag.Get("words"); said != "" {
				words = strings.Fields(said)
			}
			list = append(list, field{name: name, typ: f.Type, index: []int{i}, words: words})
		}
	}
	for i := range list {
		_, list[i].secret = find(list, list[i].name+"_file")
	}
	return list
}

func find(fields []field, name string) (field, bool) {
	for _, f := range fields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// isWord tells whether a value of the type is, or may be, written as one word
// that the type itself understands.
func isWord(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(unmarshalerType)
}

// listUnmarshaler is a word that can be several: one value, or a list of them.
type listUnmarshaler interface{ UnmarshalList(values []string) error }

// asList returns v as that, if its type is one.
func asList(v reflect.Value) (listUnmarshaler, bool) {
	list, ok := v.Addr().Interface().(listUnmarshaler)
	return list, ok
}

// isSection tells whether the keys below are reached one by one, by the
// environment too. Maps and lists of sections are not: they are one value.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !isWord(t)
}

// isScalar tells whether one text says the whole value: what the environment can set.
func isScalar(t reflect.Type) bool {
	switch {
	case isWord(t) || t == durationType:
		return true
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice:
		return isScalar(t.Elem())
	default:
		return t.Kind() != reflect.Struct && t.Kind() != reflect.Map
	}
}

// join appends a name to a key path.
func join(path, name string) string {
	if path == "" {
		return show(name)
	}
	return path + "." + show(name)
}

// Item appends a position in a list to a key path: routes[0].
func Item(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// show quotes what would disturb a line of text.
func show(name string) string {
	const limit = 80
	plain := name != "" && len(name) <= limit && strings.IndexFunc(name, func(r rune) bool {
		return !strconv.IsPrint(r) || r == ' ' || r == '"'
	}) < 0
	if plain {
		return name
	}
	if len(name) > limit {
		return strconv.QuoteToASCII(name[:limit]) + "…"
	}
	return strconv.QuoteToASCII(name)
}
