package drf

import (
	"math"
	"strconv"
	"strings"
)

// Object is a JSON object whose members keep their order, and of which a name may occur more than once, as it was sent.
// The zero value is an object without members.
//
// The values in an Object that Decode returned are Object, []any, string, Number, bool and nil. A string is UTF-8, except
// that half a surrogate pair (possible by an escape such as `\ud800`) is kept as the three bytes that UTF-8 would have for
// it; see Surrogate.
type Object []Member

// Member is one name and its value in an Object.
type Member struct {
	Name  string
	Value any
}

// Get returns the value of the last member of that name, which is the one that counts in Python, and whether there is one.
func (o Object) Get(name string) (any, bool) {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	return nil, false
}

// Duplicate returns a name that occurs twice in this object, or twice in one object somewhere inside it. Two readers may
// disagree on what such an object says, so whoever passes it on should refuse it.
func (o Object) Duplicate() (string, bool) {
	seen := make(map[string]struct{}, len(o))
	for _, m := range o {
		if _, twice := seen[m.Name]; twice {
			return m.Name, true
		}
		seen[m.Name] = struct{}{}
		if name, twice := duplicateIn(m.Value); twice {
			return name, true
		}
	}
	return "", false
}

func duplicateIn(v any) (string, bool) {
	switch v := v.(type) {
	case Object:
		return v.Duplicate()
	case []any:
		for _, e := range v {
			if name, twice := duplicateIn(e); twice {
				return name, true
			}
		}
	}
	return "", false
}

// Number is a JSON number as it was written: `1.50`, `1e3`, `12345678901234567890`. The zero value is not a number.
type Number string

// IsInt reports whether Python reads the number as an int: it has neither a fraction nor an exponent.
func (n Number) IsInt() bool { return n != "" && !strings.ContainsAny(string(n), ".eE") }

// Text is the number as Python's str() gives it back: integers in full, `1.50` as `1.5`, `1e3` as `1000.0`, `1e16` as
// `1e+16`, and `1e999` as `inf`.
func (n Number) Text() string {
	if n.IsInt() {
		if n == "-0" {
			return "0"
		}
		return string(n)
	}
	f, _ := strconv.ParseFloat(string(n), 64) // out of range gives an infinity, and that is what Python has
	return floatText(f)
}

// floatText is Python's repr of a float: the shortest digits that read back the same, with an exponent below 1e-4 and from
// 1e16 on, and never to be taken for an integer.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, _ := strings.Cut(text, "e")
	if e, _ := strconv.Atoi(exponent); e < -4 || e >= 16 {
		return text
	}
	text = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// Surrogate returns the first half of a surrogate pair that stands alone in text, as Decode keeps it. Such a text is not
// valid UTF-8 and must not be stored, compared or put into a header.
func Surrogate(text string) (rune, bool) {
	for i := 0; i+2 < len(text); i++ {
		if r, ok := surrogateAt(text, i); ok {
			return r, true
		}
	}
	return 0, false
}

// surrogateAt reads the three bytes ED A0..BF 80..BF, which are U+D800 to U+DFFF.
func surrogateAt(text string, i int) (rune, bool) {
	if i+2 >= len(text) || text[i] != 0xED || text[i+1] < 0xA0 || text[i+1] > 0xBF || text[i+2] < 0x80 || text[i+2] > 0xBF {
		return 0, false
	}
	return 0xD000 | rune(text[i+1]&0x3F)<<6 | rune(text[i+2]&0x3F), true
}
