package drf

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// small is a site whose only view takes bodies of 40 bytes.
func small(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(&View{
		Fields:  []Field{{Name: "token", Label: "Token"}},
		MaxBody: 40,
		Post: func(_ *http.Request, in Input) Answer {
			return Answer{Status: http.StatusOK, Body: Object{{"token", in.Text("token")}, {"undeclared", in.Text("x")}}}
		},
	})
	t.Cleanup(server.Close)
	return server
}

const head = "POST / HTTP/1.1\r\nHost: example.org\r\nContent-Type: application/json\r\n"

func TestBodySize(t *testing.T) {
	server := small(t)
	fits := `{"token":"a"}` + strings.Repeat(" ", 27)
	chunked := func(body string) string {
		text := "Transfer-Encoding: chunked\r\n\r\n"
		for _, b := range []byte(body) {
			text += "1\r\n" + string(b) + "\r\n"
		}
		return text + "0\r\n\r\n"
	}
	measured := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	for name, c := range map[string]struct {
		rest   string
		status int
		body   string
	}{
		"as much as is allowed":                    {measured(fits), 200, `{"token":"a","undeclared":""}`},
		"as much as is allowed, chunked":           {chunked(fits), 200, `{"token":"a","undeclared":""}`},
		"one byte more":                            {measured(fits + " "), 413, `{"detail":"Request body is larger than 40 bytes."}`},
		"one byte more, chunked":                   {chunked(fits + " "), 413, `{"detail":"Request body is larger than 40 bytes."}`},
		"an announcement alone":                    {"Content-Length: 99999999999\r\n\r\n", 413, `{"detail":"Request body is larger than 40 bytes."}`},
		"an announcement of an unknown type":       {"Content-Type: text/plain\r\nContent-Length: 99999999999\r\n\r\n", 415, `{"detail":"Unsupported media type \"application/json,text/plain\" in request."}`},
		"an empty chunked body is no body":         {chunked(""), 400, `{"token":["This field is required."]}`},
		"a broken chunk":                           {"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, `{"detail":"The request body could not be read."}`},
		"no answer to Expect if the type is wrong": {"Expect: 100-continue\r\nContent-Type: x/y\r\nContent-Length: 5\r\n\r\n", 415, `{"detail":"Unsupported media type \"application/json,x/y\" in request."}`},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := talk(t, server, head+c.rest)
			if res.StatusCode != c.status || body != c.body {
				t.Errorf("got %d %s\nwant %d %s", res.StatusCode, body, c.status, c.body)
			}
			if allow := res.Header.Get("Allow"); allow != "POST, OPTIONS" {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
}

// Attack: a body without end. Not more of it is read than the limit and one byte.
func TestNoMoreIsReadThanAllowed(t *testing.T) {
	read := 0
	endless := iotest.OneByteReader(readerFunc(func(p []byte) (int, error) {
		read += len(p)
		return copy(p, " "), nil
	}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", endless)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	(&View{MaxBody: 1000}).ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge || read > 1001 {
		t.Errorf("status %d after %d bytes", w.Code, read)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestContentTypeOutsideASCII(t *testing.T) {
	for name, header := range map[string]string{"UTF-8": "text/ä", "ISO 8859-1": "text/\xe4", "JSON with a strange parameter": "application/json; x=ä"} {
		res, body := talk(t, small(t), "POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\nContent-Type: "+header+"\r\n\r\n{}")
		if res.StatusCode != http.StatusUnsupportedMediaType || !strings.HasPrefix(body, `{"detail":"Unsupported media type \"`) {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
}

func TestTwoAcceptHeadersAreOneList(t *testing.T) {
	for accepts, want := range map[string]int{
		"text/html|application/json": 400,
		"text/html|text/plain":       406,
		"|application/json":          400,
		"|":                          406,
	} {
		text := head + "Content-Length: 2\r\n"
		for accept := range strings.SplitSeq(accepts, "|") {
			text += "Accept: " + accept + "\r\n"
		}
		if res, body := talk(t, small(t), text+"\r\n{}"); res.StatusCode != want {
			t.Errorf("%q: %d %s, want %d", accepts, res.StatusCode, body, want)
		}
	}
}

func TestTooManyPartsOfAForm(t *testing.T) {
	part := "--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n"
	for parts, want := range map[int]string{1000: `{"token":["This field is required."]}`, 1001: `{"detail":"Form parse error - More than 1000 fields"}`} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(strings.Repeat(part, parts)+"--B--"))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
		w := httptest.NewRecorder()
		(&View{Fields: []Field{{Name: "token"}}}).ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || w.Body.String() != want {
			t.Errorf("%d parts: %d %s, want %s", parts, w.Code, w.Body, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer Answer
		want   string
	}{
		"with a detail": {Detail(403, "No."), `{"detail":"No."}`},
		"with a code":   {Coded(401, "No.", "not_valid"), `{"detail":"No.","code":"not_valid"}`},
		"not found":     {Detail(http.StatusNotFound, "Not found."), `{"detail":"Not found."}`},
		"empty object":  {Answer{Status: 200, Body: Object{}}, `{}`},
		"no body":       {Answer{Status: 200}, ``},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.answer.Write(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			if w.Code != c.answer.Status || w.Body.String() != c.want {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, c.answer.Status, c.want)
			}
			if got := w.Header().Get("Content-Length"); got != fmt.Sprint(len(c.want)) {
				t.Errorf("Content-Length: %s", got)
			}
			if got := w.Header().Get("Content-Type"); (got == "application/json") != (c.want != "") {
				t.Errorf("Content-Type: %q", got)
			}
		})
	}
}

func TestHeadersOfAnAnswerAreNotShared(t *testing.T) {
	shared := http.Header{"retry-after": {"17"}, "Cache-Control": {"private"}}
	a := Answer{Status: 429, Body: Object{}, Header: shared}
	for range 2 {
		w := httptest.NewRecorder()
		a.Write(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
		if w.Header().Get("Retry-After") != "17" || w.Header().Get("Cache-Control") != "private" {
			t.Errorf("got %v", w.Header())
		}
		w.Header()["Retry-After"][0] = "changed"
	}
}

func TestUnauthorizedWithoutAScheme(t *testing.T) {
	v := &View{Post: func(*http.Request, Input) Answer { return Detail(http.StatusUnauthorized, "No.") }}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	if _, sent := w.Header()["Www-Authenticate"]; sent || w.Code != http.StatusUnauthorized {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}

// FuzzBody: whatever a body and its content type are, the answer is one of the four that the contract has, is JSON, and
// what reaches Post keeps the promise of Input.
func FuzzBody(f *testing.F) {
	f.Add("application/json", []byte(`{"username":" \ud83d\ude00","password":1e3}`))
	f.Add("application/json; charset=utf-16", []byte("\xff\xfe{\x00}\x00"))
	f.Add("application/json; charset=gb18030", []byte(`{"username":"\xc4"}`))
	f.Add("application/x-www-form-urlencoded; charset=iso-8859-1", []byte("username=%e4&password=\xe4+%zz"))
	f.Add("multipart/form-data; boundary=B", []byte("--B\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\n\xff\r\n--B--"))
	f.Add("text/plain", []byte("x"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		v := &View{Fields: []Field{{Name: "username"}, {Name: "password"}}, MaxBody: 1 << 12, Post: func(_ *http.Request, in Input) Answer {
			for _, name := range []string{"username", "password"} {
				text := in.Text(name)
				if _, half := Surrogate(text); half || text == "" || trim(text) != text || strings.Contains(text, "\x00") || strings.ToValidUTF8(text, "") != text {
					t.Errorf("%s is %q", name, text)
				}
			}
			return Answer{Status: http.StatusOK, Body: Object{}}
		}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.NopCloser(bytes.NewReader(body)))
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		v.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("status %d", w.Code)
		}
		if _, err := Decode(w.Body.String()); err != nil || strings.ToValidUTF8(w.Body.String(), "") != w.Body.String() {
			t.Errorf("answer %q: %v", w.Body, err)
		}
	})
}

// Attack: a body of many tiny values, so that a megabyte on the wire becomes thirty in memory. What no field wants is not
// kept, however it is wrapped; but it is read, and must be right.
func TestOnlyTheFieldsAreKept(t *testing.T) {
	fields := []Field{{Name: "token"}}
	for text, want := range map[string]any{
		`[0,[0],{"token":0}]`:                            []any{},
		`{"x":[0,0],"":0,"token":"a","y":{"token":"b"}}`: Object{{"token", "a"}},
		`{"token":[0,{"a":0}],"token":{"token":"b"}}`:    Object{{"token", []any{}}, {"token", Object{}}},
		`"text"`: "text",
	} {
		got, err := decodeFields(text, fields)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
	if _, err := decodeFields(`{"x":[0,01]}`, fields); err == nil {
		t.Error("a mistake in what is not kept is not seen")
	}
	many := "[" + strings.Repeat("0,", 1<<19) + "0]"
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v, err := decodeFields(many, fields)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 || err != nil {
		t.Errorf("%d bytes are kept of %d, %v, %v", grown, len(many), v, err)
	}
}
