package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Prefix begins the name of every environment variable of the program.
const Prefix = "GATEHOUSE_"

// notSettings are variables of ours that set no key of the file.
var notSettings = regexp.MustCompile(`^GATEHOUSE_(CONFIG$|TEST_)`)

// serviceLinks are the variables that Kubernetes gives to every container of a
// namespace in which a service is called gatehouse, or gatehouse-something.
var serviceLinks = regexp.MustCompile(`^GATEHOUSE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// variable is a setting that the environment can make.
type variable struct {
	name string // GATEHOUSE_SERVER_LISTEN
	key  string // server.listen
	path []string
	typ  reflect.Type
	// secret: the value is never shown.
	secret bool
}

// variables lists one variable for each scalar key, and each list of scalars,
// outside of lists and maps of sections.
func variables() []variable { return variablesOf(reflect.TypeFor[File]()) }

func variablesOf(section reflect.Type) []variable {
	var list []variable
	var walk func(typ reflect.Type, path []string)
	walk = func(typ reflect.Type, path []string) {
		for _, f := range fieldsOf(typ) {
			at := append(slices.Clone(path), f.name)
			switch {
			case isSection(f.typ):
				walk(f.typ, at)
			case isScalar(f.typ):
				list = append(list, variable{
					name: Prefix + strings.ToUpper(strings.Join(at, "_")),
					key:  strings.Join(at, "."), path: at, typ: f.typ, secret: f.secret,
				})
			}
		}
	}
	walk(section, nil)
	return list
}

// environment reads the variables that are set. An empty one is as if not set,
// since that is how container tools write "nothing".
func environment(in Input, places places) (said map[string]any, faults []Fault) {
	said = map[string]any{}
	known, alone := variables(), bareVariables()
	if in.Path == "" {
		known, alone = append(known, alone...), nil
	}
	for _, assignment := range slices.Sorted(slices.Values(in.Environ)) {
		name, text, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(name, Prefix) || notSettings.MatchString(name) || text == "" {
			continue
		}
		i := slices.IndexFunc(known, func(v variable) bool { return v.name == name })
		switch {
		case i < 0 && serviceLinks.MatchString(name):
		case i < 0 && slices.ContainsFunc(alone, func(v variable) bool { return v.name == name }):
			faults = append(faults, bareFault(name, in.Path))
		case i < 0:
			faults = append(faults, unknownVariable(name, known))
		case in.Only != nil && len(known[i].path) > 1 && !slices.Contains(in.Only, known[i].path[0]):
		default:
			places.elsewhere(known[i].key, name)
			value, err := known[i].read(text)
			if err != nil {
				faults = append(faults, Fault{Source: name, Key: known[i].key, Problem: err.Error(), suspects: []string{known[i].key}})
				continue
			}
			put(said, known[i].path, value)
		}
	}
	return said, faults
}

func unknownVariable(name string, known []variable) Fault {
	candidates := make([]string, len(known))
	for i, v := range known {
		candidates[i] = v.name
	}
	fault := Fault{Source: show(name), Problem: "there is no such setting; unset it"}
	// Without the prefix, which would make everything look alike.
	short := strings.TrimPrefix(name, Prefix)
	for i := range candidates {
		candidates[i] = strings.TrimPrefix(candidates[i], Prefix)
	}
	if near := nearest(short, candidates); near != "" {
		fault.Problem = "there is no such setting; did you mean " + Prefix + near + "?"
	}
	return fault
}

// read turns the text of a variable, or of a flag, into a value of the key's type.
// The elements of a list stand between commas.
func (v variable) read(text string) (any, error) {
	value := reflect.New(v.typ).Elem()
	if list, ok := asList(value); ok && strings.Contains(text, ",") {
		parts, err := splitList(text)
		if err == nil {
			err = list.UnmarshalList(parts)
		}
		return value.Interface(), err
	}
	if v.typ.Kind() == reflect.Slice && !isWord(v.typ) {
		parts, err := splitList(text)
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			element := reflect.New(v.typ.Elem()).Elem()
			if err := setText(element, part); err != nil {
				return nil, err
			}
			value.Set(reflect.Append(value, element))
		}
		return value.Interface(), nil
	}
	if err := setText(value, text); err != nil {
		if v.secret {
			return nil, errors.New("has a value that cannot be read; write text")
		}
		return nil, err
	}
	return value.Interface(), nil
}

// splitList takes the elements of a list apart.
func splitList(text string) ([]string, error) {
	parts := strings.Split(text, ",")
	for i := range parts {
		if parts[i] = strings.TrimSpace(parts[i]); parts[i] == "" {
			return nil, fmt.Errorf("element %d of the list is empty; write values with one comma between them", i+1)
		}
	}
	return parts, nil
}

// put stores a value below the path in nested maps.
func put(tree map[string]any, path []string, value any) {
	for _, step := range path[:len(path)-1] {
		inner, ok := tree[step].(map[string]any)
		if !ok {
			inner = map[string]any{}
			tree[step] = inner
		}
		tree = inner
	}
	tree[path[len(path)-1]] = value
}
