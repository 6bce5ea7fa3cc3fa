package drf

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// What Python 3.11 made of some odd texts: the value, written again by json.dumps, or the error.
func TestDecodeAgreesWithPython(t *testing.T) {
	raw, err := os.ReadFile("testdata/python-json.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var pair [2]string
		if err := json.Unmarshal([]byte(line), &pair); err != nil {
			t.Fatal(err)
		}
		text, want := pair[0], pair[1]
		var got string
		if v, err := Decode(text); err != nil {
			got = "ERR " + err.Error()
		} else {
			got = string(AppendASCII(nil, v))
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestDecodeKeepsWhatWasSent(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want any
	}{
		"the order and the duplicates of members":    {`{"b":1,"a":2,"b":3}`, Object{{"b", Number("1")}, {"a", Number("2")}, {"b", Number("3")}}},
		"the spelling of numbers":                    {`[1.50,1E3,-0,1e999]`, []any{Number("1.50"), Number("1E3"), Number("-0"), Number("1e999")}},
		"a lone surrogate, as three bytes":           {`"a\ud800b"`, "a\xed\xa0\x80b"},
		"a lone low surrogate":                       {`"\uDFFF"`, "\xed\xbf\xbf"},
		"a pair as one character":                    {`"\ud83d\ude00"`, "😀"},
		"a lone high surrogate before a pair":        {`"\ud83d\ud83d\ude00"`, "\xed\xa0\xbd😀"},
		"a high surrogate before an ordinary escape": {`"\ud83d\u0041"`, "\xed\xa0\xbdA"},
		"U+0000":                            {`"\u0000"`, "\x00"},
		"every short escape":                {`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		"an empty object and an empty list": {`[{},[]]`, []any{Object{}, []any{}}},
		"words":                             {`[null,true,false]`, []any{nil, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A body of a few kilobytes must not cost the stack, nor time that grows with its square.
func TestDecodeIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		text, reason string
		char         int
	}{
		"lists that never end":      {strings.Repeat("[", 500_000), "Nesting is too deep", 1000},
		"objects that never end":    {strings.Repeat(`{"a":`, 100_000), "Nesting is too deep", 5000},
		"1001 closed levels":        {strings.Repeat("[", 1001) + strings.Repeat("]", 1001), "Nesting is too deep", 1000},
		"an integer of 4301 digits": {strings.Repeat("9", 4301), "Exceeds the limit (4300 digits) for integer string conversion: value has 4301 digits; use sys.set_int_max_str_digits() to increase the limit", 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(c.text)
			syntax, ok := errors.AsType[*SyntaxError](err)
			if !ok || syntax.Reason != c.reason || syntax.Char != c.char {
				t.Errorf("got %v, want %s at %d", err, c.reason, c.char)
			}
		})
	}
	for name, text := range map[string]string{
		"1000 levels":               strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"an integer of 4300 digits": "-" + strings.Repeat("9", 4300),
		"a float of many digits":    "0." + strings.Repeat("9", 100_000),
	} {
		if _, err := Decode(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestObject(t *testing.T) {
	o := Object{{"a", "first"}, {"b", nil}, {"a", "last"}}
	if v, ok := o.Get("a"); v != "last" || !ok {
		t.Errorf("a is %v, %v; the last one counts", v, ok)
	}
	if v, ok := o.Get("b"); v != nil || !ok {
		t.Errorf("b is %v, %v; null is there", v, ok)
	}
	if v, ok := o.Get("c"); v != nil || ok {
		t.Errorf("c is %v, %v; it is not there", v, ok)
	}
}

func TestDuplicateMembersAreFound(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                             "",
		`{"a":1,"b":1}`:                  "",
		`{"a":1,"b":1,"a":1}`:            "a",
		`{"a":1,"\u0061":1}`:             "a",
		`{"":1,"b":{"c":[{"":1}]}}`:      "",
		`{"a":{"b":1,"b":1}}`:            "b",
		`{"a":[1,[{"c":1,"c":1}]]}`:      "c",
		`{"a":{"x":1},"b":{"x":1}}`:      "",
		`{"a":1,"A":1,"á":1,"\u00c1":1}`: "",
	} {
		v, err := Decode(text)
		if err != nil {
			t.Fatal(text, err)
		}
		name, found := v.(Object).Duplicate()
		if name != want || found != (want != "") {
			t.Errorf("%s: got %q, %v", text, name, found)
		}
	}
}

// The text of a number is what Python's str gives after json.loads.
func TestNumberText(t *testing.T) {
	for literal, want := range map[Number]string{
		"0": "0", "-0": "0", "-1": "-1", "12345678901234567890123": "12345678901234567890123",
		"1.50": "1.5", "-1.50": "-1.5", "0.0": "0.0", "-0.0": "-0.0", "1.0": "1.0", "1e3": "1000.0", "1E+3": "1000.0", "10e-1": "1.0",
		"1e15": "1000000000000000.0", "1e16": "1e+16", "123456789012345678.0": "1.2345678901234568e+17", "1e22": "1e+22", "1e100": "1e+100",
		"0.0001": "0.0001", "0.00001": "1e-05", "1.5e-7": "1.5e-07", "5e-324": "5e-324", "1e-400": "0.0", "-1e-400": "-0.0",
		"1e999": "inf", "-1e999": "-inf", "1.7976931348623157e308": "1.7976931348623157e+308",
		"0.1": "0.1", "0.30000000000000004": "0.30000000000000004", "9007199254740993.0": "9007199254740992.0",
	} {
		if got := literal.Text(); got != want {
			t.Errorf("%s: %q, want %q", literal, got, want)
		}
	}
}

func TestSurrogate(t *testing.T) {
	for text, want := range map[string]rune{
		"": 0, "abc": 0, "\uD7FF\uE000": 0, "😀": 0, "\xed": 0, "\xed\xa0": 0,
		"\xed\xa0\x80": 0xD800, "a\xed\xbf\xbf\xed\xa0\x80": 0xDFFF,
	} {
		if got, found := Surrogate(text); got != want || found != (want != 0) {
			t.Errorf("%q: U+%04X, %v; want U+%04X", text, got, found, want)
		}
	}
}

// FuzzDecode compares with encoding/json: the same texts are JSON, and they mean the same. The only texts that it takes and
// we do not are nested deeper than maxDepth or hold an integer longer than maxDigits.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"username":"ä😀","password":"\ud83d\ude00\ud800 \u0000"}`, `[1,-0,1.50,1e3,1E-7,true,null]`, `{"a":{},"a":[[]]}`,
		"\ufeff{}", `"\x"`, `[1,]`, `{"a" 1}`, `NaN`, ` "a" x`, "\"a\x1f\"", `-`, `01`, `1.`, `"\u12`, `{"\ud800":1,"\udc00":2}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // what is to be decoded has passed a charset
		}
		v, err := Decode(text)
		if syntax, ok := errors.AsType[*SyntaxError](err); ok &&
			(syntax.Reason == "Nesting is too deep" || strings.HasPrefix(syntax.Reason, "Exceeds the limit")) {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var theirs any
		valid := json.Valid([]byte(text))
		if valid != (err == nil) {
			t.Fatalf("%q: encoding/json says %v, we say %v", text, valid, err)
		}
		if !valid {
			if err.Error() == "" {
				t.Errorf("%q: no reason", text)
			}
			return
		}
		if err := decoder.Decode(&theirs); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(theirs, plain(v)); diff != "" {
			t.Errorf("%q means something else (-theirs +ours):\n%s", text, diff)
		}
		// And what we write of it is read again as the same.
		for _, out := range [][]byte{AppendASCII(nil, v), AppendJSON(nil, v), encoder{indent: 3}.value(nil, v, 0)} {
			if !utf8.Valid(out) {
				t.Errorf("%q is written as %q, which is not UTF-8", text, out)
			}
			again, err := Decode(string(out))
			if err != nil {
				t.Fatalf("%q is written as %q: %v", text, out, err)
			}
			if diff := cmp.Diff(python(v), python(again)); diff != "" {
				t.Errorf("%q is written as %q (-before +after):\n%s", text, out, diff)
			}
		}
	})
}

// plain turns a value into what encoding/json makes of the same text: maps, and U+FFFD for lone surrogates.
func plain(v any) any {
	switch v := v.(type) {
	case Object:
		m := map[string]any{}
		for _, member := range v {
			m[plain(member.Name).(string)] = plain(member.Value)
		}
		return m
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, plain(e))
		}
		return list
	case Number:
		return json.Number(v)
	case string:
		var b strings.Builder
		for i := 0; i < len(v); {
			if _, ok := surrogateAt(v, i); ok {
				b.WriteRune(utf8.RuneError)
				i += 3
				continue
			}
			b.WriteByte(v[i])
			i++
		}
		return b.String()
	}
	return v
}

// python replaces numbers by what they are, as their spelling is not kept when written.
func python(v any) any {
	switch v := v.(type) {
	case Object:
		o := Object{}
		for _, m := range v {
			o = append(o, Member{m.Name, python(m.Value)})
		}
		return o
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, python(e))
		}
		return list
	case Number:
		return v.Text()
	}
	return v
}
