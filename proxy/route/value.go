package route

import (
	"fmt"
	"math"
	"strconv"
)

// Value is a text, a number or a boolean of the configuration that a claim is
// compared with. The zero Value is no value and equals nothing.
type Value struct {
	kind   valueKind
	text   string // of a text; of the others as it is shown
	number float64
	whole  bool  // integer is exact
	exact  int64 // of a whole number
	truth  bool
}

type valueKind uint8

const (
	noValue valueKind = iota
	textValue
	numberValue
	truthValue
)

// The kinds that UnmarshalScalar is told.
const (
	KindText   = "text"
	KindNumber = "number"
	KindTruth  = "boolean"
)

// Text is the Value that a claim must have as a string.
func Text(s string) Value { return Value{kind: textValue, text: s} }

// UnmarshalText takes what is written without a type: a text.
func (v *Value) UnmarshalText(text []byte) error {
	*v = Text(string(text))
	return nil
}

// UnmarshalScalar takes what is written with its kind (KindText, KindNumber,
// KindTruth): "5" is a text, 5 is a number.
func (v *Value) UnmarshalScalar(kind, text string) error {
	switch kind {
	case KindNumber:
		*v = Value{kind: numberValue, text: text}
		if v.setNumber(text) && math.Abs(v.number) < maxExact {
			return nil
		}
		*v = Value{}
		return fmt.Errorf("%q is not a number that can be compared exactly; write it in quotes if it is a text, or a decimal below 2^53", text)
	case KindTruth:
		*v = Value{kind: truthValue, text: text, truth: text[0] == 't' || text[0] == 'T'}
	default:
		*v = Text(text)
	}
	return nil
}

// maxExact is where float64 begins to leave whole numbers out.
const maxExact = 1 << 53

// setNumber reads a decimal number in the grammar of JSON.
func (v *Value) setNumber(text string) bool {
	if !isDecimal(text) {
		return false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		v.whole, v.exact = true, n
	}
	f, err := strconv.ParseFloat(text, 64)
	v.number = f
	return err == nil
}

// isDecimal refuses what ParseFloat takes beyond that: 0x10, 1_000, inf, nan.
func isDecimal(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
		default:
			return false
		}
	}
	return text != ""
}

// Number is a number of a claim, in the digits in which it was written.
type Number string

// Equals reports whether a claim is this value. Types must agree: a text equals a
// string of the same bytes, a number a Number of the same worth (1, 1.0 and 1e0 are
// one), a boolean a boolean. Nothing equals null, an object, or a list.
func (v Value) Equals(claim any) bool {
	switch claim := claim.(type) {
	case string:
		return v.kind == textValue && claim == v.text
	case bool:
		return v.kind == truthValue && claim == v.truth
	case Number:
		if v.kind != numberValue {
			return false
		}
		var other Value
		if !other.setNumber(string(claim)) {
			return false
		}
		if v.whole && other.whole {
			return v.exact == other.exact
		}
		// Below 2^53 a float64 is the number that was meant, or the nearest to it.
		return math.Abs(other.number) < maxExact && v.number == other.number
	}
	return false
}

// String is the value as it would be written.
func (v Value) String() string {
	if v.kind == textValue {
		if _, err := strconv.ParseFloat(v.text, 64); err == nil || v.text == "" || v.text == "true" || v.text == "false" {
			return strconv.Quote(v.text)
		}
	}
	return v.text
}
