package drf

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/multipart"
	"strings"
)

// parseMultipart reads a body of type multipart/form-data. A body that is not one yields the fields before the place where
// it went wrong, perhaps none. Nothing is written to disk: the body is in memory, and of a file only its name counts.
func parseMultipart(body []byte, ct mediaType, cs charset) (Object, error) {
	boundary, ok := ct.params["boundary"]
	if !ok {
		boundary = "None"
	}
	if !ok || !validBoundary(boundary) {
		return nil, &parseError{"Multipart form", "Invalid boundary in multipart: " + boundary}
	}
	o, files := Object{}, Object{}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for parts := 0; ; parts++ {
		part, err := reader.NextRawPart() // Not NextPart: it decodes quoted-printable, which the original does not
		if err != nil {
			return append(o, files...), nil // a file counts more than a text of the same name, wherever it stands
		}
		if parts == maxFields {
			return nil, errTooManyFields
		}
		// Not part.FormName: it insists on the type form-data and on correct quoting.
		params := parseMediaType(part.Header.Get("Content-Disposition")).params
		name := trim(cs.lenient(params["name"]))
		if name == "" {
			continue
		}
		if params["filename"] != "" || params["filename*"] != "" {
			files = append(files, Member{name, upload{}})
			continue
		}
		value, _ := io.ReadAll(part) // a last part without its closing boundary counts
		if strings.EqualFold(trim(part.Header.Get("Content-Transfer-Encoding")), "base64") {
			value = fromBase64(value)
		}
		o = append(o, Member{name, cs.lenient(string(value))})
	}
}

// validBoundary is the rule of RFC 2046, section 5.1.1, with a longer maximum.
func validBoundary(boundary string) bool {
	if boundary == "" || len(boundary) > 201 || strings.HasSuffix(boundary, " ") {
		return false
	}
	return !strings.ContainsFunc(boundary, func(r rune) bool { return r < ' ' || r > '~' })
}

// fromBase64 decodes value, ignoring what is not of the alphabet. What is no base64 at all is left as it is.
func fromBase64(value []byte) []byte {
	alphabet := bytes.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("+/=", r) {
			return r
		}
		return -1
	}, value)
	plain, err := base64.StdEncoding.AppendDecode(nil, alphabet)
	if err != nil {
		return value
	}
	return plain
}
