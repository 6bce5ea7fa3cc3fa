package wire

import (
	"net/http"
	"net/textproto"
)

// field is a header of a request.
type field struct {
	name   string
	values []string
}

// fewFields is how many headers a request has at most for which nothing is allocated.
const fewFields = 24

// insert keeps the fields in the order of their names. They are few, and mostly short.
func insert(fields []field, f field) []field {
	fields = append(fields, f)
	i := len(fields) - 1
	for ; i > 0 && fields[i-1].name > f.name; i-- {
		fields[i] = fields[i-1]
	}
	fields[i] = f
	return fields
}

// appendHead appends the head of a request, byte for byte as Request.Write makes it. The
// request is one that suits has looked at, and fields are its headers.
func appendHead(b []byte, req *http.Request, fields []field) []byte {
	b = append(b, req.Method...)
	b = append(b, ' ')
	if u := req.URL; u.Opaque != "" {
		b = append(b, u.RequestURI()...)
	} else {
		if path := u.EscapedPath(); path != "" {
			b = append(b, path...)
		} else {
			b = append(b, '/')
		}
		if u.ForceQuery || u.RawQuery != "" {
			b = append(b, '?')
			b = append(b, u.RawQuery...)
		}
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if req.Host != "" {
		b = append(b, req.Host...)
	} else {
		b = append(b, req.URL.Host...)
	}
	b = append(b, "\r\n"...)
	agent := "Go-http-client/1.1"
	if own, there := req.Header["User-Agent"]; there {
		agent = ""
		if len(own) > 0 {
			agent = own[0]
		}
	}
	if agent != "" {
		b = appendLine(b, "User-Agent", agent)
	}
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch: // many servers want to be told
		b = append(b, "Content-Length: 0\r\n"...)
	}
	for i := range fields {
		switch f := &fields[i]; f.name {
		case "Host", "User-Agent", "Content-Length": // as above
		default:
			for _, value := range f.values {
				b = appendLine(b, f.name, value)
			}
		}
	}
	return append(b, "\r\n"...)
}

func appendLine(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, textproto.TrimString(value)...)
	return append(b, "\r\n"...)
}
