package route

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// One canonical path is not enough when the backend makes something else of it.
// Tomcat serves /admin for /admin;x, Windows for "/admin.", whoever decodes
// twice for /%2561dmin, whoever decodes before it splits off the query for
// /admin%3Fx. A list of forbidden bytes would also forbid /wiki/C%23 and
// /shop;jsessionid=1, which are honest. So such a path is matched in every way in
// which it is known to be read, and passes when all readings end with the same
// route and the same policy: see Table.Match.
//
// Letter case is a reading, too, but one that Table.Match knows how to find
// without another lookup.

// misreadings are what backends are known to do with a decoded path. Each gives the
// path back as it was when it has nothing to do, or a reason to refuse it.
var misreadings = []func(path string) (string, string){
	decodeAgain,
	withoutParams,
	cutAt(";"),
	cutAt("?"),
	cutAt("#"),
	trimmed,
	narrowed,
}

const (
	maxReadings = 24      // so many that only someone who tries gets there
	maxOddPath  = 8 << 10 // bytes; a longer path must not need any of this
)

// readings returns the paths, other than itself, that backends may read in a
// canonical decoded path, in every combination of misreadings. It is nil for almost
// all. A reading that has a dot segment or a separator in it that was not there before
// is a reason to refuse the path.
func readings(decoded string) (others []string, reason string) {
	all := []string{decoded}
	for i := 0; i < len(all); i++ {
		for _, misread := range misreadings {
			reading, reason := misread(all[i])
			if reason != "" {
				return nil, reason
			}
			if slices.Contains(all, reading) {
				continue
			}
			if len(all) > maxReadings || len(decoded) > maxOddPath {
				return nil, badReadings
			}
			for segment := range strings.SplitSeq(reading[1:], "/") {
				if segment == "" {
					continue
				}
				if reason := checkSegment(segment); reason != "" {
					return nil, reason
				}
			}
			all = append(all, reading)
		}
	}
	return all[1:], ""
}

// readingsOfSlashes is readings for a path with escaped slashes or backslashes in it
// (%2F, %5C in decoded): those of the path in which they are part of a segment, and
// those of the paths in which one of the two, or both, separate segments.
func readingsOfSlashes(decoded string) (others []string, reason string) {
	// Within a segment they are something that no other path holds: a character of no
	// meaning, which has no reading of its own.
	const within = "\ue000"
	if strings.Contains(decoded, within) {
		return nil, badReadings
	}
	for i, replace := range []*strings.Replacer{
		strings.NewReplacer("%2F", within, "%5C", within),
		strings.NewReplacer("%2F", "/", "%5C", within),
		strings.NewReplacer("%2F", within, "%5C", "/"),
		strings.NewReplacer("%2F", "/", "%5C", "/"),
	} {
		path := replace.Replace(decoded)
		if i > 0 {
			path = eachSegment(path, func(segment string) string { return segment })
		}
		for segment := range strings.SplitSeq(path[1:], "/") {
			if segment == "" {
				continue
			}
			if reason := checkSegment(segment); reason != "" {
				return nil, reason
			}
		}
		more, reason := readings(path)
		if reason != "" {
			return nil, reason
		}
		if i > 0 {
			others = append(others, path)
		}
		others = append(others, more...)
	}
	return others, ""
}

// decodeAgain is the second unescaping that a backend behind another server does.
func decodeAgain(path string) (_, reason string) {
	if strings.IndexByte(path, '%') < 0 {
		return path, ""
	}
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+5 < len(path) && path[i+1]|0x20 == 'u' && isHex(path[i+2]) && isHex(path[i+3]) && isHex(path[i+4]) && isHex(path[i+5]) {
			return "", badTwice // IIS: %u002e is a dot
		}
		if c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) {
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			i += 2
			if c < ' ' || c == 0x7f || c == '/' || c == '\\' {
				return "", badTwice
			}
		}
		b = append(b, c)
	}
	return string(b), ""
}

// withoutParams takes the path parameters off every segment, as servlet containers
// do, and a segment that is nothing else away altogether.
func withoutParams(path string) (_, reason string) {
	if strings.IndexByte(path, ';') < 0 {
		return path, ""
	}
	return eachSegment(path, func(segment string) string {
		segment, _, _ = strings.Cut(segment, ";")
		return segment
	}), ""
}

// cutAt ends the path where someone who decodes first and splits afterwards ends it.
func cutAt(separator string) func(path string) (string, string) {
	return func(path string) (string, string) {
		path, _, _ = strings.Cut(path, separator)
		return path, ""
	}
}

// trimmed takes the dots and spaces off the end of every segment, as Windows does, and spaces
// off the front.
func trimmed(path string) (_, reason string) {
	return eachSegment(path, func(segment string) string {
		return strings.TrimLeft(strings.TrimRight(segment, ". "), " ")
	}), ""
}

// narrowed replaces what looks like ASCII to whoever normalizes, compares without
// letter case, or converts to an older character set: full-width forms of what
// separates and what makes a dot segment, letters whose other case is ASCII. Format
// characters, which some file systems ignore, go.
func narrowed(path string) (_, reason string) {
	narrow := strings.Map(func(r rune) rune {
		switch {
		case r < utf8.RuneSelf:
			return r
		case unicode.Is(unicode.Cf, r):
			return -1
		case 0xFF01 <= r && r <= 0xFF5E: // the full-width forms of ! to ~
			r -= 0xFEE0
		}
		switch r {
		case '\u2024', '\uFE52':
			return '.'
		case '\u2044', '\u2215', '\u29F8':
			return '/'
		case '\u2216', '\u29F5', '\uFE68':
			return '\\'
		case '\u037E', '\uFE54':
			return ';'
		case '\uFE56':
			return '?'
		case '\uFE5F':
			return '#'
		case '\uFE6A':
			return '%'
		case '\u0130', '\u0131', '\u017F', '\u212A': // dotted and dotless i, long s, Kelvin
			return map[rune]rune{'\u0130': 'i', '\u0131': 'i', '\u017F': 's', '\u212A': 'k'}[r]
		case '\u00A0', '\u3000', '\u2002', '\u2003', '\u2009', '\u202F':
			return ' '
		}
		return r
	}, path)
	if narrow == path {
		return path, ""
	}
	return eachSegment(narrow, func(segment string) string { return segment }), ""
}

// eachSegment changes every segment and drops those that become empty; a trailing
// slash stays.
func eachSegment(path string, change func(string) string) string {
	b := make([]byte, 0, len(path))
	for segment := range strings.SplitSeq(path, "/") {
		if segment = change(segment); segment != "" {
			b = append(append(b, '/'), segment...)
		}
	}
	if len(b) == 0 || path[len(path)-1] == '/' {
		b = append(b, '/')
	}
	return string(b)
}
