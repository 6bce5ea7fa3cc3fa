package drf

import (
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
)

func TestEncode(t *testing.T) {
	for name, c := range map[string]struct {
		v               any
		answered, ascii string
	}{
		"text":                     {"aä😀", `"aä😀"`, `"a\u00e4\ud83d\ude00"`},
		"quotes and backslashes":   {`"\/`, `"\"\\/"`, `"\"\\/"`},
		"control characters":       {"\b\f\n\r\t\x00\x1f", `"\b\f\n\r\t\u0000\u001f"`, `"\b\f\n\r\t\u0000\u001f"`},
		"DEL":                      {"\x7f", "\"\x7f\"", `"\u007f"`},
		"what HTML would mind":     {"<&>'", `"<&>'"`, `"<&>'"`},
		"what JavaScript minded":   {"\u2028\u2029", `"\u2028\u2029"`, `"\u2028\u2029"`},
		"half a pair":              {"a\xed\xa0\x80b", `"a\ud800b"`, `"a\ud800b"`},
		"bytes that are no text":   {"a\xffb\xed", "\"a\uFFFDb\uFFFD\"", `"a\ufffdb\ufffd"`},
		"integers":                 {[]any{1, int64(-2), Number("12345678901234567890")}, `[1,-2,12345678901234567890]`, `[1,-2,12345678901234567890]`},
		"floats":                   {[]any{1.0, 1e16, 0.00001, math.Inf(1), math.NaN(), math.Inf(-1)}, `[1.0,1e+16,1e-05,null,null,null]`, `[1.0,1e+16,1e-05,null,null,null]`},
		"numbers as Python has it": {[]any{Number("1.50"), Number("1e3"), Number("-0"), Number("1e999"), Number("-1e999")}, `[1.5,1000.0,0,1e999,-1e999]`, `[1.5,1000.0,0,1e999,-1e999]`},
		"words":                    {[]any{nil, true, false}, `[null,true,false]`, `[null,true,false]`},
		"members in their order":   {Object{{"ö", []string{"x", "y"}}, {"a", Object{}}, {"a", []string{}}}, `{"ö":["x","y"],"a":{},"a":[]}`, `{"\u00f6":["x","y"],"a":{},"a":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(AppendJSON([]byte("> "), c.v)); got != "> "+c.answered {
				t.Errorf("AppendJSON:  %s, want %s", got, c.answered)
			}
			if got := string(AppendASCII([]byte("> "), c.v)); got != "> "+c.ascii {
				t.Errorf("AppendASCII: %s, want %s", got, c.ascii)
			}
		})
	}
}

func TestWhatCannotBeEncodedIsAMistakeInTheProgram(t *testing.T) {
	defer func() {
		if got := recover(); got != "drf: cannot encode a map[string]string" {
			t.Errorf("got %v", got)
		}
	}()
	AppendJSON(nil, map[string]string{})
}

// An answer that is prepared is no other answer, whatever the client wants.
func TestAPreparedAnswerIsTheSame(t *testing.T) {
	answer := Coded(http.StatusUnauthorized, "Token is “invalid”", "token_not_valid")
	for _, accept := range []string{"", "*/*", "application/json; indent=4", "application/json;INDENT=2", "application/json; indent=0", "text/html", "application/json; x=indent"} {
		for _, method := range []string{"GET", "HEAD"} {
			r := httptest.NewRequest(method, "/", nil)
			if accept != "" {
				r.Header.Set("Accept", accept)
			}
			plain, prepared := httptest.NewRecorder(), httptest.NewRecorder()
			answer.Write(plain, r)
			answer.Prepared().Write(prepared, r)
			if plain.Body.String() != prepared.Body.String() || !reflect.DeepEqual(plain.Header(), prepared.Header()) || plain.Code != prepared.Code {
				t.Errorf("%s, Accept %q: %v %q, prepared %v %q", method, accept, plain.Header(), plain.Body, prepared.Header(), prepared.Body)
			}
		}
	}
}
