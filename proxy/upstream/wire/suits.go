package wire

import (
	"net/http"
)

// maxRequestHead is how long a request may be that is sent here. It fits into the
// buffers of the operating system: a longer one may have to wait until the server
// reads, which may answer before it has.
const maxRequestHead = 16 << 10

// suits tells whether a request is sent here, and if so appends its headers in their order. All
// others are http.Transport's, also what it would refuse: so it says why.
func suits(req *http.Request, fields []field) ([]field, bool) {
	if req.Body != nil && req.Body != http.NoBody || req.ContentLength != 0 || req.TransferEncoding != nil || req.Trailer != nil || req.Close {
		return nil, false
	}
	u := req.URL
	if u == nil || u.Scheme != "http" || u.Host == "" || req.Header == nil {
		return nil, false
	}
	if !isMethod(req.Method) || !isGraphic(u.Opaque) || !isGraphic(u.Path) || !isGraphic(u.RawPath) || !isGraphic(u.RawQuery) ||
		!isHost(req.Host) || !isHost(u.Host) {
		return nil, false
	}
	size := len(req.Method) + max(len(u.Opaque), len(u.Path)) + len(u.RawQuery) + len(req.Host) + len("  HTTP/1.1\r\nHost: \r\n\r\n")
	for name, values := range req.Header {
		if !isName(name) {
			return nil, false
		}
		switch name {
		case "Connection", "Upgrade", "Expect", "Trailer", "Transfer-Encoding":
			return nil, false
		}
		for _, value := range values {
			if !isValue(value) {
				return nil, false
			}
			size += len(name) + len(value) + len(": \r\n")
		}
		fields = insert(fields, field{name, values})
	}
	return fields, size <= maxRequestHead
}

// isMethod accepts capitals; CONNECT is another thing.
func isMethod(s string) bool {
	if s == "" || s == http.MethodConnect {
		return false
	}
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

// isGraphic accepts what needs no escaping anywhere: printable ASCII without space.
func isGraphic(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// isHost accepts what net/http writes as it is: no zone, no letters beyond ASCII.
func isHost(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return true
}

// isName accepts a token (RFC 9110, section 5.6.2).
func isName(s string) bool {
	for i := range len(s) {
		if !nameBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// isValue accepts what net/http does: everything but control characters, of which
// the tab is none.
func isValue(s string) bool {
	// Eight bytes at a time while they are plain: in none is the high bit set when 0x20
	// is taken away, nor when 1 is added.
	const every, high = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if ((x-0x20*every)|(x+every)|x)&high != 0 {
			break // the rest byte by byte: a tab is fine, and so are letters beyond ASCII
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

var nameBytes = func() (table [256]bool) {
	for c := range 128 {
		table[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		table[c] = true
	}
	return table
}()
