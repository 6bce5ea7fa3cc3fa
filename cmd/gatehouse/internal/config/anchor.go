package config

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// anchor makes a relative path that the file says one from the directory of the
// file, and notes the files that the rooms will read themselves. It is about keys
// such as cert_file, which are the name of a file and no twin of a secret.
func (l *Loaded) anchor(v reflect.Value, fields []field, f field, key string) {
	file := strings.HasSuffix(f.name, "_file")
	if f.typ.Kind() != reflect.String || !file && !strings.HasSuffix(f.name, "_dir") {
		return
	}
	if _, twin := find(fields, strings.TrimSuffix(f.name, "_file")); twin && file {
		return
	}
	value := v.FieldByIndex(f.index)
	if value.String() == "" {
		return
	}
	if said := l.places.exactly(key); said.line > 0 && said.source == "" && !filepath.IsAbs(value.String()) {
		value.SetString(filepath.Join(filepath.Dir(l.Path), value.String()))
	}
	if !file {
		return
	}
	if !slices.Contains(l.Read, value.String()) {
		l.Read = append(l.Read, value.String())
	}
	if f.name == "key_file" {
		l.Secrets = append(l.Secrets, Said{key, value.String()})
	}
}
