package route

import (
	"strings"
	"unicode/utf8"
)

// Path is the one path of a request. Only Canonical makes one that a Table accepts.
type Path struct {
	// Decoded is what rules are held against: it begins with a slash, is valid UTF-8
	// without control characters, has no segment "." or "..", and no empty segment but
	// a last one (the trailing slash). A slash in it always separates segments.
	Decoded string
	// Escaped is what is forwarded. It decodes to Decoded, in which a slash or backslash
	// that was sent escaped stays so (%2F, %5C); nothing else in Decoded looks like that.
	// Canonical gives it back unchanged.
	Escaped string
	// RawQuery is the query as sent, except that bytes outside ASCII are escaped.
	RawQuery string
	// ForceQuery: a "?" was sent with nothing behind it.
	ForceQuery bool
	// Changed: dot segments or doubled slashes were resolved, so that this is not just
	// another spelling of what was sent.
	Changed bool

	readings  []string // what else a backend may read in Decoded: see readings.go
	canonical bool
	slashes   bool // an escaped slash or backslash is in it
}

// Target is the request-target in origin-form: path and query.
func (p Path) Target() string {
	if p.RawQuery == "" && !p.ForceQuery {
		return p.Escaped
	}
	return p.Escaped + "?" + p.RawQuery
}

// BadPath is a request-target that nobody should try to understand: a 400.
type BadPath struct {
	Reason string // a sentence from a fixed set; nothing in it was sent by the client
}

func (e *BadPath) Error() string { return "bad path: " + e.Reason }

// The reasons of a BadPath.
const (
	badForm       = "the request target does not begin with a slash"
	badFragment   = "a raw # in the request target"
	badByte       = "a control character or space in the request target"
	badEscape     = "an invalid percent escape"
	badControl    = "an encoded control character"
	badSeparator  = "an encoded slash or backslash"
	badSlashDots  = "an encoded slash or backslash beside a dot segment"
	badBackslash  = "a backslash"
	badUTF8       = "not valid UTF-8"
	badDot        = "an encoded dot segment"
	badParams     = "path parameters beside a dot segment"
	badDots       = "a segment that is, or hides, dots and spaces only"
	badStream     = "the name of a data stream"
	badAbove      = "a dot segment that leads above the root"
	badTwice      = "an escape that hides a separator or control character"
	badReadings   = "too many ways to read the path"
	badAmbiguous  = "backends do not agree on what this path means, and its readings have different policies"
	badLetterCase = "the path differs only in letter case from one with another policy"
	badUnchecked  = "the path was not made canonical"
	badPrefix     = "the path is not below the prefix"
)

// Canonical gives the request-target (RFC 9112, section 3.2, in origin-form, the
// bytes as the client sent them) its one path. An error is a *BadPath. What it does:
//
//   - Unreserved characters are unescaped (RFC 3986, section 6.2.2.2: /%61dmin is
//     /admin), other escapes stay with capital hex digits, and raw bytes that may not
//     stand in a path, such as UTF-8 from old clients, are escaped. So ? # % that were
//     sent escaped are forwarded escaped.
//   - Doubled slashes become one; "." and ".." that were sent raw are resolved
//     (/public/../admin is /admin). A trailing slash stays.
//   - Refused are: a raw # or backslash, raw spaces and control characters, broken
//     escapes, escaped control characters, slashes and backslashes, escaped dot segments
//     (every browser resolves them before it sends: whoever sends one wants two
//     parsers to disagree), ".." above the root, dot segments together with ;params,
//     segments that turn into a dot segment when params, trailing dots, spaces or a second
//     layer of escapes are taken away, and what is not valid UTF-8, overlong forms
//     included. Backends that have Latin-1 bytes (%E9) in their paths cannot be reached
//     under them.
//
// The zero Path comes with an error. It allocates only for targets that are not
// canonical already.
func Canonical(target string) (Path, error) { return canonical(target, false) }

// CanonicalWithSlashes is Canonical but for escaped slashes and backslashes, which
// stay as they are, part of a segment. Whether one may pass is for Table.Match to say,
// which must be asked: it knows encoded_slash of what was matched, and takes them for
// separators too, as many a backend does.
func CanonicalWithSlashes(target string) (Path, error) { return canonical(target, true) }

func canonical(target string, slashes bool) (Path, error) {
	if target == "" || target[0] != '/' {
		return Path{}, &BadPath{badForm}
	}
	raw, query, asked := strings.Cut(target, "?")
	query, reason := canonicalQuery(query)
	if reason != "" {
		return Path{}, &BadPath{reason}
	}
	p := Path{RawQuery: query, ForceQuery: asked && query == "", canonical: true}
	if plain(raw) {
		p.Decoded, p.Escaped = raw, raw
		return p, nil
	}
	if reason := p.resolve(raw, slashes); reason != "" {
		return Path{}, &BadPath{reason}
	}
	if p.slashes {
		if strings.Contains(p.Escaped, "%252F") || strings.Contains(p.Escaped, "%255C") {
			return Path{}, &BadPath{badTwice} // in Decoded it would look like one that was escaped once
		}
		p.readings, reason = readingsOfSlashes(p.Decoded)
	} else {
		p.readings, reason = readings(p.Decoded)
	}
	if reason != "" {
		return Path{}, &BadPath{reason}
	}
	return p, nil
}

// canonicalQuery leaves a query as it is, but for bytes that may not stand on a
// request line.
func canonicalQuery(query string) (_ string, reason string) {
	escape := 0
	for i := range len(query) {
		switch c := query[i]; {
		case c == '#':
			return "", badFragment
		case c <= ' ' || c == 0x7f:
			return "", badByte
		case c >= utf8.RuneSelf:
			escape++
		}
	}
	if escape == 0 {
		return query, ""
	}
	b := make([]byte, 0, len(query)+2*escape)
	for i := range len(query) {
		if c := query[i]; c >= utf8.RuneSelf {
			b = appendEscape(b, c)
		} else {
			b = append(b, c)
		}
	}
	return string(b), ""
}

// plain reports whether raw is a canonical path that everybody reads in the same
// way, as nearly all are.
func plain(raw string) bool {
	last := byte(0)
	for i := range len(raw) {
		c := raw[i]
		switch {
		case class[c]&plainByte == 0,
			c == '/' && (last == '/' || last == '.'),
			c == '$' && last == ':':
			return false
		}
		last = c
	}
	return last != '.'
}

// resolve fills Decoded, Escaped and Changed from the raw path.
func (p *Path) resolve(raw string, slashes bool) (reason string) {
	type segment struct{ decoded, escaped string }
	var (
		path           []segment
		dots, params   bool
		trailing       bool
		decoded, again = make([]byte, 0, len(raw)), make([]byte, 0, 2*len(raw))
	)
	for rest, more := raw[1:], true; more; {
		var sent string
		sent, rest, more = strings.Cut(rest, "/")
		if sent == "" {
			trailing = true
			p.Changed = p.Changed || more
			continue
		}
		var kept bool
		decoded, again, kept, reason = unescape(decoded[:0], again[:0], sent)
		if reason != "" {
			return reason
		}
		if kept && !slashes {
			return badSeparator
		}
		p.slashes = p.slashes || kept
		s := segment{string(decoded), string(again)}
		params = params || strings.Contains(s.decoded, ";")
		trailing = false
		switch s.decoded {
		case ".", "..":
			if sent != s.decoded {
				return badDot
			}
			dots, trailing, p.Changed = true, true, true
			if s.decoded == ".." {
				if len(path) == 0 {
					return badAbove
				}
				path = path[:len(path)-1]
			}
		default:
			if reason := checkSegment(s.decoded); reason != "" {
				return reason
			}
			path = append(path, s)
		}
	}
	if dots && params {
		// Servers that take parameters off before or after they resolve dots end up in
		// different places.
		return badParams
	}
	if dots && p.slashes {
		return badSlashDots // as with parameters
	}
	decoded, again = decoded[:0], again[:0]
	for _, s := range path {
		decoded = append(append(decoded, '/'), s.decoded...)
		again = append(append(again, '/'), s.escaped...)
	}
	if trailing || len(path) == 0 {
		decoded, again = append(decoded, '/'), append(again, '/')
	}
	p.Decoded, p.Escaped = string(decoded), string(again)
	return ""
}

// unescape appends one segment in both forms. slash tells that a slash or backslash
// was escaped in it, which it still is in both.
func unescape(decoded, escaped []byte, segment string) (_, _ []byte, slash bool, reason string) {
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			if i+2 >= len(segment) || !isHex(segment[i+1]) || !isHex(segment[i+2]) {
				return nil, nil, false, badEscape // IIS's %u002e too
			}
			c = unhex(segment[i+1])<<4 | unhex(segment[i+2])
			i += 2
			switch {
			case c < ' ' || c == 0x7f:
				return nil, nil, false, badControl
			case c == '/' || c == '\\':
				slash = true
				escaped, decoded = appendEscape(escaped, c), appendEscape(decoded, c)
				continue
			case class[c]&unreserved != 0:
				escaped = append(escaped, c)
			default:
				escaped = appendEscape(escaped, c)
			}
			decoded = append(decoded, c)
			continue
		}
		switch {
		case c <= ' ' || c == 0x7f:
			return nil, nil, false, badByte
		case c == '#':
			return nil, nil, false, badFragment
		case c == '\\':
			return nil, nil, false, badBackslash
		case class[c]&pathByte != 0:
			escaped = append(escaped, c)
		default:
			escaped = appendEscape(escaped, c)
		}
		decoded = append(decoded, c)
	}
	return decoded, escaped, slash, ""
}

// checkSegment refuses a decoded segment that no reading can make harmless.
func checkSegment(s string) (reason string) {
	if strings.Trim(s, ". ") == "" {
		return badDots // Windows takes trailing dots and spaces off
	}
	if strings.Contains(s, ":$") {
		return badStream // NTFS: admin:$I30:$INDEX_ALLOCATION is admin
	}
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return badUTF8
		case r < ' ', 0x7f <= r && r < 0xa0:
			return badControl
		case r == '\\':
			return badBackslash
		}
	}
	return ""
}

// Strip takes a prefix (canonical and decoded, without a trailing slash: "/old") off
// the front of the path, by whole segments: /old/x becomes /x, and /old becomes /. What is left is held
// against Canonical once more. An error is a *BadPath.
func (p Path) Strip(prefix string) (Path, error) { return p.replace(prefix, "") }

// replace puts another prefix (canonical and escaped) in the place of one that is taken off.
func (p Path) replace(prefix, by string) (Path, error) {
	if !p.canonical {
		return Path{}, &BadPath{badUnchecked}
	}
	if p.Decoded != prefix && !strings.HasPrefix(p.Decoded, prefix+"/") {
		return Path{}, &BadPath{badPrefix}
	}
	rest := p.Escaped
	for range strings.Count(prefix, "/") {
		rest = rest[1:]
		if next := strings.IndexByte(rest, '/'); next >= 0 {
			rest = rest[next:]
		} else {
			rest = ""
		}
	}
	rest = by + rest
	if rest == "" {
		rest = "/"
	}
	return p.become(rest)
}

// become gives the path other bytes, which must be canonical themselves.
func (p Path) become(escaped string) (Path, error) {
	q, err := canonical(escaped, p.slashes)
	if err != nil {
		return Path{}, err
	}
	if q.Escaped != escaped {
		return Path{}, &BadPath{badPrefix}
	}
	q.RawQuery, q.ForceQuery, q.Changed = p.RawQuery, p.ForceQuery, p.Changed
	return q, nil
}

// Unescaped is Escaped with nothing escaped in it: Decoded, but for slashes and
// backslashes that were sent escaped.
func (p Path) Unescaped() string {
	if !p.slashes {
		return p.Decoded
	}
	return asSeparators.Replace(p.Decoded)
}

var asSeparators = strings.NewReplacer("%2F", "/", "%5C", "\\")

func appendEscape(b []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&15])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// What a byte may be.
const (
	unreserved = 1 << iota // RFC 3986, section 2.3: its escape means the same
	pathByte               // pchar without %, section 3.3: stands raw in a path
	plainByte              // stands raw, and everybody reads it in the same way
)

var class = func() (t [256]uint8) {
	for c := range 256 {
		switch b := byte(c); {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte("-._~", b) >= 0:
			t[c] = unreserved | pathByte | plainByte
		case strings.IndexByte("!$&'()*+,=:@", b) >= 0:
			t[c] = pathByte | plainByte
		case b == ';':
			t[c] = pathByte
		case b == '/':
			t[c] = plainByte
		}
	}
	return t
}()
