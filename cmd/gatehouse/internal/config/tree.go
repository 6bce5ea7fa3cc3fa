package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree holds the nodes of a file against the Go types of the configuration.
type tree struct {
	file   string
	only   []string // the sections looked into; nil: all
	faults []Fault
	places places
}

func (t *tree) fault(line int, key, format string, args ...any) {
	t.faults = append(t.faults, Fault{File: t.file, Line: line, Key: key, Problem: fmt.Sprintf(format, args...)})
}

// suspect says of the last fault that what a room finds at key only repeats it.
func (t *tree) suspect(key string) {
	t.faults[len(t.faults)-1].suspects = []string{key}
}

// unusable is a fault of a value that is then as good as absent.
func (t *tree) unusable(line int, key, format string, args ...any) {
	t.fault(line, key, format, args...)
	t.suspect(key)
}

// section reads a part of the file whose keys are settings of their own, and
// returns those that are said: values of exactly the Go type of their key, and
// maps for the sections below.
func (t *tree) section(node *yaml.Node, typ reflect.Type, path string) map[string]any {
	said := map[string]any{}
	t.members(node, typ, path, func(f field, at string, value *yaml.Node) {
		switch {
		case path == "" && t.only != nil && !slices.Contains(t.only, f.name):
		case isSection(f.typ):
			if !isNull(value) { // a heading whose keys are all commented out
				said[f.name] = t.section(value, f.typ, at)
			}
		default:
			v := reflect.New(f.typ).Elem()
			if t.value(value, v, at, f.secret) {
				said[f.name] = v.Interface()
			}
		}
	})
	return said
}

// members calls back for each key of a map that the type knows, once.
func (t *tree) members(node *yaml.Node, typ reflect.Type, path string, each func(f field, at string, value *yaml.Node)) {
	fields := fieldsOf(typ)
	t.pairs(node, path, func(name string) string { return name }, func(key, value *yaml.Node, at string) {
		f, ok := find(fields, key.Value)
		if !ok {
			t.unknown(key, fields, path, at)
			return
		}
		t.places.inFile(at, key.Line)
		each(f, at, value)
	})
}

// pairs calls back for each key of a map, once. Keys with the same fold are the same.
func (t *tree) pairs(node *yaml.Node, path string, fold func(string) string, each func(key, value *yaml.Node, at string)) {
	if node.Kind != yaml.MappingNode {
		t.unusable(node.Line, path, "is %s where a map is expected; write its keys below it, indented", describe(node, false))
		return
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := join(path, key.Value)
		first, again := seen[fold(key.Value)]
		switch {
		case key.Kind != yaml.ScalarNode || key.Value == "":
			t.fault(key.Line, path, "has a key that is no name; write a word, then a colon")
			continue
		case key.Value == "<<":
			t.fault(key.Line, path, "has a merge key (<<), which is not supported; write the keys out")
			continue
		case again && first.Value == key.Value:
			t.fault(key.Line, at, "is written twice, first in line %d; keep one of them", first.Line)
			continue
		case again:
			t.fault(key.Line, at, "differs only in upper and lower case from %s in line %d; keep one of them", show(first.Value), first.Line)
			continue
		}
		seen[fold(key.Value)] = key
		each(key, value, at)
	}
}

func (t *tree) unknown(key *yaml.Node, fields []field, path, at string) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	if near := nearest(key.Value, names); near != "" {
		t.fault(key.Line, at, "there is no such key; did you mean %s?", near)
		t.suspect(join(path, near))
		return
	}
	if elsewhere := pathsEndingIn(key.Value); len(elsewhere) > 0 {
		t.fault(key.Line, at, "there is no such key here; did you mean %s?", strings.Join(elsewhere, " or "))
		return
	}
	t.fault(key.Line, at, "there is no such key; here can stand %s", quoteAll(names))
}

// value reads a node into v and tells whether v can be used, at least in part.
func (t *tree) value(node *yaml.Node, v reflect.Value, at string, secret bool) bool {
	typ := v.Type()
	switch {
	case node.Kind == yaml.AliasNode:
		t.unusable(node.Line, at, "is an alias (*%s), which is not supported; write the value out, or in quotes if it is meant to begin with *", show(node.Value))
		return false
	case isNull(node):
		// A list or map whose entries are all commented out is as if not there.
		if isScalar(typ) || isWord(typ) {
			t.unusable(node.Line, at, "has no value; write one, or delete the line")
		}
		return false
	case typ.Kind() == reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		return t.value(node, v.Elem(), at, secret)
	case node.Kind == yaml.ScalarNode && isScalar(typ):
		if problem := readScalar(node, v, secret); problem != "" {
			t.unusable(node.Line, at, "%s", problem)
			return false
		}
		return true
	case typ.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		return t.entry(node, v, at)
	case typ.Kind() == reflect.Map && node.Kind == yaml.MappingNode:
		return t.entries(node, v, at)
	case typ.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		return t.list(node, v, at, secret)
	default:
		if list, ok := asList(v); ok && node.Kind == yaml.SequenceNode {
			var values []string
			if !t.list(node, reflect.ValueOf(&values).Elem(), at, secret) {
				return false
			}
			return t.accept(node, at, list.UnmarshalList(values))
		}
		t.unusable(node.Line, at, "is %s where %s is expected", describe(node, secret), expected(typ))
		return false
	}
}

// accept tells whether a type has taken a value.
func (t *tree) accept(node *yaml.Node, at string, err error) bool {
	if err != nil {
		t.unusable(node.Line, at, "%s", err.Error())
	}
	return err == nil
}

// entry reads one element of a list or a map of structs.
func (t *tree) entry(node *yaml.Node, v reflect.Value, at string) bool {
	if isWord(v.Type()) && len(node.Content) == 0 {
		// Not "nothing said": an empty auth on a rule would then be its route's, which may be public.
		t.unusable(node.Line, at, "is an empty map; write a word, or at least one of %s", quoteAll(names(v.Type())))
		return false
	}
	t.members(node, v.Type(), at, func(f field, at string, value *yaml.Node) {
		if isWord(v.Type()) && value.Kind == yaml.SequenceNode && len(value.Content) == 0 {
			t.unusable(value.Line, at, "is an empty list; write at least one value, or delete the key")
			return
		}
		inner := v.FieldByIndex(f.index)
		if isSection(f.typ) {
			if !isNull(value) {
				if value.Kind == yaml.MappingNode {
					t.entry(value, inner, at)
				} else {
					t.value(value, inner, at, f.secret)
				}
			}
			return
		}
		t.value(value, inner, at, f.secret)
	})
	return true
}

// entries reads a map whose keys are names of the operator's choice. They keep
// their case; two that differ in nothing else are refused.
func (t *tree) entries(node *yaml.Node, v reflect.Value, at string) bool {
	v.Set(reflect.MakeMap(v.Type()))
	t.pairs(node, at, strings.ToLower, func(key, value *yaml.Node, at string) {
		t.places.inFile(at, key.Line)
		inner := reflect.New(v.Type().Elem()).Elem()
		if isNull(value) {
			t.unusable(key.Line, at, "has no value; write what it is, or delete the line")
			return
		}
		if t.value(value, inner, at, false) {
			v.SetMapIndex(reflect.ValueOf(key.Value), inner)
		}
	})
	return true
}

func (t *tree) list(node *yaml.Node, v reflect.Value, at string, secret bool) bool {
	v.Set(reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content)))
	usable := true
	for i, element := range node.Content {
		at := Item(at, i)
		t.places.inFile(at, element.Line)
		if isNull(element) {
			t.unusable(element.Line, at, "has no value; write one, or delete the line")
			usable = usable && !isScalar(v.Type().Elem())
			continue
		}
		// Entries keep their places, so that the rooms' key paths fit the file.
		if !t.value(element, v.Index(i), at, secret) {
			usable = usable && !isScalar(v.Type().Elem())
		}
	}
	return usable
}

// isNull tells whether nothing is written, or ~ or null.
func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// describe says in words what stands in the file. A secret is not shown.
func describe(node *yaml.Node, secret bool) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a map"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind == yaml.AliasNode:
		return "an alias"
	case secret:
		return "a single value"
	case node.ShortTag() == "!!int" || node.ShortTag() == "!!float":
		return "the number " + show(node.Value)
	case node.ShortTag() == "!!bool":
		return "the word " + show(node.Value)
	default:
		const limit = 40
		text := []rune(node.Value)
		if len(text) > limit {
			return "the text " + strconv.QuoteToASCII(string(text[:limit])) + "…"
		}
		return "the text " + strconv.QuoteToASCII(node.Value)
	}
}

// expected says in words what a key holds.
func expected(typ reflect.Type) string {
	switch {
	case typ == durationType:
		return "a duration such as 30s"
	case isWord(typ) && typ.Kind() == reflect.Struct && len(fieldsOf(typ)) > 0:
		return "a word, or a map with " + quoteAll(names(typ)) + ","
	case isWord(typ):
		return "one value"
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return expected(typ.Elem())
	case reflect.Slice:
		if isScalar(typ.Elem()) {
			return "a list of values"
		}
		return "a list of entries, each beginning with -,"
	case reflect.Map, reflect.Struct:
		return "a map"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	default:
		return "a number"
	}
}

func names(typ reflect.Type) []string {
	var list []string
	for _, f := range fieldsOf(typ) {
		list = append(list, f.name)
	}
	return list
}

// pathsEndingIn finds keys of that name in other sections.
func pathsEndingIn(name string) []string {
	found := map[string]bool{}
	everyKey(reflect.TypeFor[File](), "", func(path string, _ field) {
		if path == name || strings.HasSuffix(path, "."+name) {
			found[path] = true
		}
	})
	if len(found) > 3 {
		return nil
	}
	return slices.Sorted(maps.Keys(found))
}

// everyKey visits each key of the configuration in the order of the Go types.
// Entries of lists and maps appear as routes[] and upstreams.*.
func everyKey(typ reflect.Type, path string, visit func(path string, f field)) {
	for _, f := range fieldsOf(typ) {
		at := join(path, f.name)
		visit(at, f)
		inner := f.typ
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map || inner.Kind() == reflect.Pointer {
			switch inner.Kind() {
			case reflect.Slice:
				at += "[]"
			case reflect.Map:
				at += ".*"
			}
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			everyKey(inner, at, visit)
		}
	}
}
