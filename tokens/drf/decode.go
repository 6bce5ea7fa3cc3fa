package drf

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxDepth  = 1000 // levels of arrays and objects; Python gives up (status 500) at about as many
	maxDigits = 4300 // of an integer; Python's own bound against quadratic conversion
)

// SyntaxError tells why a text is not JSON.
type SyntaxError struct {
	Reason string // as Python words it, without the place
	Char   int    // where, in characters (code points) from 0
	Line   int    // the line of that character, from 1; 0 if Python gives no place for this reason
	Column int    // its place in the line, from 1
}

// Error is the text that Python's json.loads gives: `Expecting value: line 1 column 4 (char 3)`.
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("%s: line %d column %d (char %d)", e.Reason, e.Line, e.Column, e.Char)
}

// Decode reads one JSON value, by the grammar and with the errors of Python's json.loads, except that NaN and the
// infinities are refused (as the framework does), and so is nesting beyond a thousand levels. An error is a *SyntaxError.
//
// The text must be UTF-8; this is not checked. Nothing in it is lost: members keep their order and their duplicates,
// numbers their spelling, strings their lone surrogates.
func Decode(text string) (any, error) {
	d := decoder{text: text, keep: func(int, string) bool { return true }}
	return d.document()
}

// decodeFields is Decode for who wants those members of an object only. What else there is must be JSON, but is not kept:
// a list is returned empty, and so is whatever is inside a member. A body then takes no more memory than it is long; built
// in full, a megabyte of `[0,0,0,…` takes thirty.
func decodeFields(text string, fields []Field) (any, error) {
	d := decoder{text: text, keep: func(depth int, name string) bool {
		return depth == 1 && slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name })
	}}
	return d.document()
}

// decoder reads text. Its methods take the place where a thing begins and return the place after it.
type decoder struct {
	text string
	keep func(depth int, name string) bool // whether to keep what an object (or a list: no name) at that level holds
}

func (d *decoder) document() (any, error) {
	if strings.HasPrefix(d.text, "\uFEFF") {
		return nil, d.fault("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)
	}
	v, at, err := d.value(d.blank(0), 0)
	if err != nil {
		return nil, err
	}
	if at = d.blank(at); at != len(d.text) {
		return nil, d.fault("Extra data", at)
	}
	return v, nil
}

func (d *decoder) blank(at int) int {
	for at < len(d.text) && (d.text[at] == ' ' || d.text[at] == '\t' || d.text[at] == '\n' || d.text[at] == '\r') {
		at++
	}
	return at
}

// peek returns the byte at that place, and 0 at the end; a real U+0000 can begin nothing, so the two need not be told apart.
func (d *decoder) peek(at int) byte {
	if at < len(d.text) {
		return d.text[at]
	}
	return 0
}

var (
	words     = []word{{"null", nil}, {"true", true}, {"false", false}}
	constants = []string{"NaN", "Infinity", "-Infinity"}
)

type word struct {
	text  string
	value any
}

func (d *decoder) value(at, depth int) (any, int, error) {
	switch c := d.peek(at); c {
	case '"':
		return d.str(at)
	case '{', '[':
		if depth == maxDepth {
			return nil, 0, d.fault("Nesting is too deep", at)
		}
		if c == '{' {
			return d.object(at, depth+1)
		}
		return d.array(at, depth+1)
	}
	rest := d.text[at:]
	for _, w := range words {
		if strings.HasPrefix(rest, w.text) {
			return w.value, at + len(w.text), nil
		}
	}
	for _, c := range constants {
		if strings.HasPrefix(rest, c) {
			return nil, 0, &SyntaxError{Reason: "Out of range float values are not JSON compliant: '" + c + "'"}
		}
	}
	return d.number(at)
}

func (d *decoder) object(at, depth int) (any, int, error) {
	o := Object{}
	at = d.blank(at + 1)
	if d.peek(at) == '}' {
		return o, at + 1, nil
	}
	for {
		if d.peek(at) != '"' {
			return nil, 0, d.fault("Expecting property name enclosed in double quotes", at)
		}
		name, next, err := d.str(at)
		if err != nil {
			return nil, 0, err
		}
		if at = d.blank(next); d.peek(at) != ':' {
			return nil, 0, d.fault("Expecting ':' delimiter", at)
		}
		v, next, err := d.value(d.blank(at+1), depth)
		if err != nil {
			return nil, 0, err
		}
		if name := name.(string); d.keep(depth, name) {
			o = append(o, Member{Name: name, Value: v})
		}
		at = d.blank(next)
		switch d.peek(at) {
		case '}':
			return o, at + 1, nil
		case ',':
			at = d.blank(at + 1)
		default:
			return nil, 0, d.fault("Expecting ',' delimiter", at)
		}
	}
}

func (d *decoder) array(at, depth int) (any, int, error) {
	list := []any{}
	at = d.blank(at + 1)
	if d.peek(at) == ']' {
		return list, at + 1, nil
	}
	for {
		v, next, err := d.value(at, depth)
		if err != nil {
			return nil, 0, err
		}
		if d.keep(depth, "") {
			list = append(list, v)
		}
		at = d.blank(next)
		switch d.peek(at) {
		case ']':
			return list, at + 1, nil
		case ',':
			at = d.blank(at + 1)
		default:
			return nil, 0, d.fault("Expecting ',' delimiter", at)
		}
	}
}

// number takes as much as makes a number: `01` is 0 and a surplus 1, `1.` is 1 and a surplus full stop.
func (d *decoder) number(at int) (any, int, error) {
	digits := func(from int) int {
		for c := d.peek(from); c >= '0' && c <= '9'; c = d.peek(from) {
			from++
		}
		return from
	}
	start := at
	if d.peek(at) == '-' {
		at++
	}
	first := at
	if d.peek(at) == '0' {
		at++
	} else if at = digits(at); at == first {
		return nil, 0, d.fault("Expecting value", start)
	}
	whole := at - first
	integer := true
	if d.peek(at) == '.' {
		if end := digits(at + 1); end > at+1 {
			at, integer = end, false
		}
	}
	if c := d.peek(at); c == 'e' || c == 'E' {
		sign := at + 1
		if c := d.peek(sign); c == '+' || c == '-' {
			sign++
		}
		if end := digits(sign); end > sign {
			at, integer = end, false
		}
	}
	if integer && whole > maxDigits {
		return nil, 0, &SyntaxError{Reason: fmt.Sprintf("Exceeds the limit (%d digits) for integer string conversion: "+
			"value has %d digits; use sys.set_int_max_str_digits() to increase the limit", maxDigits, whole)}
	}
	return Number(d.text[start:at]), at, nil
}

// str reads a string and returns it as an any, like its siblings.
func (d *decoder) str(open int) (any, int, error) {
	var b strings.Builder
	for at := open + 1; ; {
		end := at
		for end < len(d.text) && d.text[end] != '"' && d.text[end] != '\\' && d.text[end] >= 0x20 {
			end++
		}
		if end == len(d.text) {
			return nil, 0, d.fault("Unterminated string starting at", open)
		}
		if d.text[end] == '"' && b.Len() == 0 {
			return d.text[at:end], end + 1, nil // the usual string has no escapes and needs no copy
		}
		b.WriteString(d.text[at:end])
		switch d.text[end] {
		case '"':
			return b.String(), end + 1, nil
		case '\\':
			next, err := d.escape(&b, open, end)
			if err != nil {
				return nil, 0, err
			}
			at = next
		default:
			return nil, 0, d.fault("Invalid control character at", end)
		}
	}
}

const (
	escapes = `"\/bfnrt`
	escaped = "\"\\/\b\f\n\r\t"
)

// escape reads the escape at the backslash, in the string that was opened at open, and writes what it means to b.
func (d *decoder) escape(b *strings.Builder, open, backslash int) (int, error) {
	if backslash+1 == len(d.text) {
		return 0, d.fault("Unterminated string starting at", open)
	}
	c := d.text[backslash+1]
	if i := strings.IndexByte(escapes, c); i >= 0 {
		b.WriteByte(escaped[i])
		return backslash + 2, nil
	}
	if c != 'u' {
		return 0, d.fault(`Invalid \escape`, backslash)
	}
	r, ok := d.hex(backslash + 2)
	if !ok {
		return 0, d.fault(`Invalid \uXXXX escape`, backslash+1)
	}
	at := backslash + 6
	if utf16.IsSurrogate(r) {
		if strings.HasPrefix(d.text[at:], `\u`) {
			if low, ok := d.hex(at + 2); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					b.WriteRune(pair)
					return at + 6, nil
				}
			}
		}
		// Not WriteRune: it would make U+FFFD of it, and the field rules have a message that names the surrogate.
		b.Write([]byte{0xED, 0x80 | byte(r>>6&0x3F), 0x80 | byte(r&0x3F)})
		return at, nil
	}
	b.WriteRune(r)
	return at, nil
}

// hex reads four hexadecimal digits. Python wants one more character behind them, but a string without its closing quote
// is an error in any case; only the message differs, so that one too is kept.
func (d *decoder) hex(at int) (rune, bool) {
	if at+4 >= len(d.text) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(d.text[at : at+4]) {
		digit, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

func (d *decoder) fault(reason string, at int) *SyntaxError {
	before := d.text[:at]
	char := utf8.RuneCountInString(before)
	lineStart := strings.LastIndexByte(before, '\n') + 1
	return &SyntaxError{
		Reason: reason,
		Char:   char,
		Line:   1 + strings.Count(before, "\n"),
		Column: 1 + utf8.RuneCountInString(before[lineStart:]),
	}
}
