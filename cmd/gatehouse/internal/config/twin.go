package config

import (
	"bytes"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxSecret bounds a file that holds one value.
const maxSecret = 1 << 20

// readTwins fills every foo whose foo_file is said, in all sections, lists and
// maps below v, and anchors other names of files.
func (l *Loaded) readTwins(v reflect.Value, path string, only []string) {
	switch v.Kind() {
	case reflect.Struct:
		fields := fieldsOf(v.Type())
		for _, f := range fields {
			if path == "" && only != nil && !slices.Contains(only, f.name) {
				continue
			}
			if f.secret {
				twin, _ := find(fields, f.name+"_file")
				l.readTwin(v.FieldByIndex(f.index), v.FieldByIndex(twin.index), join(path, f.name))
			}
			l.anchor(v, fields, f, join(path, f.name))
			l.readTwins(v.FieldByIndex(f.index), join(path, f.name), nil)
		}
	case reflect.Slice:
		for i := range v.Len() {
			l.readTwins(v.Index(i), Item(path, i), nil)
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			inner := reflect.New(v.Type().Elem()).Elem()
			inner.Set(entries.Value())
			l.readTwins(inner, join(path, entries.Key().String()), nil)
			v.SetMapIndex(entries.Key(), inner)
		}
	}
}

// readTwin settles one pair. Both in one layer is a contradiction; otherwise
// the stronger layer has the word, whichever of the two it uses.
func (l *Loaded) readTwin(value, file reflect.Value, key string) {
	plain, named := l.layerOf(key), l.layerOf(key+"_file")
	switch {
	case named == 0 || plain > named:
		file.SetString("")
		return
	case plain == named:
		fault := l.at(key+"_file", "is set beside "+key+"; keep one of them")
		if at := l.at(key, ""); at.Source != "" {
			fault.Problem = "is set beside " + at.Source + "; keep one of them"
		}
		fault.suspects = []string{key}
		l.faults = append(l.faults, fault)
		return
	}
	name := file.String()
	if named == 1 && !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(l.Path), name)
	}
	if !slices.Contains(l.Read, name) {
		l.Read = append(l.Read, name)
	}
	if !isPublic(key) {
		l.Secrets = append(l.Secrets, Said{key + "_file", name})
	}
	text, problem := readSecret(file.String(), name)
	if problem != "" {
		fault := l.at(key+"_file", problem)
		fault.suspects = []string{key}
		l.faults = append(l.faults, fault)
		return
	}
	value.SetString(text)
}

// isPublic tells whether everybody may know a value that can be in a file of its own.
func isPublic(key string) bool {
	return slices.Contains([]string{"public_key", "jwks", "ca"}, key[strings.LastIndexByte(key, '.')+1:])
}

// layerOf tells who says a key: 0 nobody, 1 the file, 2 the environment or a flag.
func (l *Loaded) layerOf(key string) int {
	switch said := l.places.exactly(key); {
	case said.source != "":
		return 2
	case said.line > 0:
		return 1
	default:
		return 0
	}
}

// readSecret returns what the file holds, without one newline at its end.
func readSecret(shown, path string) (text, problem string) {
	if shown == "" {
		return "", "names no file; write its path, or delete the line"
	}
	data, err := readAll(path, maxSecret+1)
	switch {
	case err != nil:
		return "", show(path) + " cannot be read: " + reason(err).Error() + "; create the file, or correct its path or rights"
	case len(data) > maxSecret:
		return "", show(path) + " is larger than 1 MiB; name the file that holds this one value"
	}
	if line, ok := bytes.CutSuffix(data, []byte("\n")); ok {
		data = bytes.TrimSuffix(line, []byte("\r"))
	}
	if len(data) == 0 {
		return "", show(path) + " is empty; write the value into it"
	}
	return string(data), ""
}
