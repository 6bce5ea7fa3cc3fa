package drf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendJSON appends v as the framework answers it: compact, characters outside ASCII as they are, except U+2028 and
// U+2029, which would end a line in old JavaScript. Half a surrogate pair is written as an escape (`\ud800`), so that the
// result is UTF-8 whatever v holds.
//
// v may be anything that Decode returns, and int, int64, float64, []string. Anything else is a mistake in the program and
// panics. A Number is written as Python would write it after reading it (`1.50` as `1.5`); one out of range of a float
// keeps its spelling, and a float64 that JSON cannot express is null.
func AppendJSON(dst []byte, v any) []byte {
	return encoder{}.value(dst, v, 0)
}

// AppendASCII appends v as Python's json.dumps does with separators (",", ":"), which is what stands in a token: like
// AppendJSON, but with DEL and every character outside ASCII as `\uXXXX`.
func AppendASCII(dst []byte, v any) []byte {
	return encoder{ascii: true}.value(dst, v, 0)
}

// encoder holds how to write; the zero value is AppendJSON's way.
type encoder struct {
	ascii  bool
	indent int // spaces per level; 0 is all on one line
}

func (e encoder) value(dst []byte, v any, level int) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return e.str(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		return appendFloat(dst, v)
	case Number:
		return appendNumber(dst, v)
	case Object:
		return e.list(dst, "{}", len(v), level, func(dst []byte, i int) []byte {
			dst = append(e.str(dst, v[i].Name), ':')
			if e.indent > 0 {
				dst = append(dst, ' ')
			}
			return e.value(dst, v[i].Value, level+1)
		})
	case []any:
		return e.list(dst, "[]", len(v), level, func(dst []byte, i int) []byte { return e.value(dst, v[i], level+1) })
	case []string:
		return e.list(dst, "[]", len(v), level, func(dst []byte, i int) []byte { return e.str(dst, v[i]) })
	default:
		panic(fmt.Sprintf("drf: cannot encode a %T", v))
	}
}

// list writes n things between brackets, with the line breaks of Python's `indent` if they are wanted.
func (e encoder) list(dst []byte, brackets string, n, level int, item func([]byte, int) []byte) []byte {
	dst = append(dst, brackets[0])
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = item(e.line(dst, level+1), i)
	}
	if n > 0 {
		dst = e.line(dst, level)
	}
	return append(dst, brackets[1])
}

func (e encoder) line(dst []byte, level int) []byte {
	if e.indent > 0 {
		dst = append(dst, '\n')
		for range level * e.indent {
			dst = append(dst, ' ')
		}
	}
	return dst
}

func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return append(dst, floatText(f)...)
}

func appendNumber(dst []byte, n Number) []byte {
	if text := n.Text(); !strings.HasSuffix(text, "inf") {
		return append(dst, text...)
	}
	return append(dst, n...) // Python writes Infinity, which is not JSON
}

func (e encoder) str(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			dst = e.simple(dst, c)
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if half, ok := surrogateAt(s, i); ok {
			dst = appendEscape(dst, half)
			i += 3
			continue
		}
		switch {
		case r == 0x2028, r == 0x2029, e.ascii && r <= 0xFFFF:
			dst = appendEscape(dst, r)
		case e.ascii:
			high, low := utf16.EncodeRune(r)
			dst = appendEscape(appendEscape(dst, high), low)
		default:
			dst = utf8.AppendRune(dst, r) // bytes that are no character at all become U+FFFD
		}
		i += size
	}
	return append(dst, '"')
}

// simple writes an ASCII character. Python escapes neither `<` nor `/`, and DEL only where it escapes all but ASCII.
func (e encoder) simple(dst []byte, c byte) []byte {
	switch {
	case c != '/' && strings.IndexByte(escaped, c) >= 0:
		return append(dst, '\\', escapes[strings.IndexByte(escaped, c)])
	case c < 0x20, c == 0x7F && e.ascii:
		return appendEscape(dst, rune(c))
	}
	return append(dst, c)
}

func appendEscape(dst []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
