package drf

import "strings"

// mediaType is a Content-Type, or one item of an Accept header, as the framework reads it: leniently, so that `json`,
// `*/json` and `application/json;;x` have a meaning.
type mediaType struct {
	main, sub string // lower case; sub is everything behind the first slash
	params    map[string]string
}

// Not mime.ParseMediaType: it refuses much of what must be matched here, and unescapes what must not be.
func parseMediaType(text string) mediaType {
	var m mediaType
	for i, piece := range splitUnquoted(text) {
		if i == 0 {
			m.main, m.sub, _ = strings.Cut(strings.ToLower(trim(piece)), "/")
			continue
		}
		name, value, ok := strings.Cut(piece, "=")
		if !ok {
			continue
		}
		if m.params == nil {
			m.params = map[string]string{}
		}
		m.params[strings.ToLower(trim(name))] = unquote(trim(value))
	}
	return m
}

// splitUnquoted splits at semicolons outside quotation marks. A backslash does not hide a quotation mark here.
func splitUnquoted(text string) []string {
	var pieces []string
	start, quoted := 0, false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ';' && !quoted:
			pieces = append(pieces, text[start:i])
			start = i + 1
		}
	}
	return append(pieces, text[start:])
}

func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(value[1 : len(value)-1])
}

// matches reports whether one of the two, which may have wildcards, covers the other. Parameters do not count.
func (m mediaType) matches(other mediaType) bool {
	same := func(a, b string) bool { return a == b || a == "*" || b == "*" }
	return same(m.main, other.main) && same(m.sub, other.sub)
}

// rank orders the items of an Accept header: the higher, the more specific. `q` makes nothing specific.
func (m mediaType) rank() int {
	switch _, q := m.params["q"]; {
	case m.main == "*":
		return 0
	case m.sub == "*":
		return 1
	case len(m.params) == 0 || len(m.params) == 1 && q:
		return 2
	}
	return 3
}
