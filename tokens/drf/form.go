package drf

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxFields bounds the fields of a form, as Django does.
const maxFields = 1000

var errTooManyFields = &parseError{"Form", fmt.Sprintf("More than %d fields", maxFields)}

// upload stands for a file in a form, whose content is of no interest.
type upload struct{}

// lastValue returns the value a query string has for a name, the last one if it has several, and "" if none.
func lastValue(query, name string) (value string) {
	for pair := range strings.SplitSeq(query, "&") {
		if n, v, _ := strings.Cut(pair, "="); unescape(n, charset{}) == name {
			value = unescape(v, charset{})
		}
	}
	return value
}

// parseForm reads a body of type application/x-www-form-urlencoded.
func parseForm(body string, cs charset) (Object, error) {
	if strings.Count(body, "&") >= maxFields {
		return nil, errTooManyFields
	}
	return parseQuery(cs.form(body), cs), nil
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
		o = append(o, Member{unescape(name, cs), unescape(value, cs)})
	}
	return o
}

// unescape decodes one name or value. Only what was percent-encoded is in the charset; the rest is text already.
func unescape(text string, cs charset) string {
	text = strings.ReplaceAll(text, "+", " ")
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for text != "" {
		end := strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
		if end < 0 {
			end = len(text)
		}
		b.WriteString(cs.lenient(percentDecode(text[:end])))
		text = text[end:]
		end = strings.IndexFunc(text, func(r rune) bool { return r < utf8.RuneSelf })
		if end < 0 {
			end = len(text)
		}
		b.WriteString(text[:end])
		text = text[end:]
	}
	return b.String()
}

func percentDecode(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			high, ok1 := hexDigit(text[i+1])
			low, ok2 := hexDigit(text[i+2])
			if ok1 && ok2 {
				b.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
