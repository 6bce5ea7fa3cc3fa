package drf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

const defaultMaxBody = 1 << 20

var (
	formType      = mediaType{main: "application", sub: "x-www-form-urlencoded"}
	multipartType = mediaType{main: "multipart", sub: "form-data"}
)

// read returns what the body says about the fields of the view: a value of Decode, or the Object of a form. No body is an empty Object. The content type
// counts only if there is a body, and a body of an unknown type or length is not read further than to know that.
func (v *View) read(w http.ResponseWriter, r *http.Request) (any, *Answer) {
	limit := v.MaxBody
	if limit <= 0 {
		limit = defaultMaxBody
	}
	if r.ContentLength == 0 || r.Body == nil {
		return Object{}, nil
	}
	body := bufio.NewReader(http.MaxBytesReader(w, r.Body, limit)) // it also closes the connection of who sends more
	if r.ContentLength < 0 {
		// A chunked body tells only by its first byte whether there is one.
		if _, err := body.Peek(1); errors.Is(err, io.EOF) {
			return Object{}, nil
		}
	}
	header := strings.Join(r.Header["Content-Type"], ",") // two of them are no known type
	ct := parseMediaType(header)
	if strings.ContainsFunc(header, func(c rune) bool { return c > '~' }) ||
		!ct.matches(jsonType) && !ct.matches(formType) && !ct.matches(multipartType) {
		return nil, refuse(http.StatusUnsupportedMediaType, `Unsupported media type "`+header+`" in request.`)
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	bytes, err := io.ReadAll(body)
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge(limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, refuse(http.StatusRequestTimeout, "The body of the request did not arrive in time.")
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "The request body could not be read.")
	}
	if len(bytes) == 0 {
		return Object{}, nil
	}
	data, err := parse(bytes, ct, v.Fields)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, err.Error())
	}
	return data, nil
}

// parseError tells why a body is not what its content type says.
type parseError struct {
	what   string // "JSON"
	reason string
}

// Error is the detail of the answer.
func (e *parseError) Error() string { return e.what + " parse error - " + e.reason }

// parse reads a body of one of the three types.
func parse(body []byte, ct mediaType, fields []Field) (any, error) {
	cs := charsetNamed(ct.params["charset"])
	switch {
	case ct.matches(jsonType): // first, so that it gets the wildcards
		text, err := cs.strict(string(body))
		if err != nil {
			return nil, &parseError{"JSON", err.Error()}
		}
		v, err := decodeFields(text, fields)
		if err != nil {
			return nil, &parseError{"JSON", err.Error()}
		}
		return v, nil
	case ct.matches(formType):
		return parseForm(string(body), cs)
	default:
		return parseMultipart(body, ct, cs)
	}
}

func tooLarge(limit int64) *Answer {
	return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body is larger than %d bytes.", limit))
}

func refuse(status int, detail string) *Answer {
	a := Detail(status, detail)
	return &a
}
