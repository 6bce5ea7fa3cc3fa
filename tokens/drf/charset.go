package drf

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// charset is how the bytes of a body become text. The zero value is UTF-8.
type charset struct {
	name    string            // as Python names it in its messages
	codec   encoding.Encoding // nil is UTF-8, or ASCII
	ascii   bool
	skipBOM bool
	pairs   bool // two bytes make a unit
}

// known are the names that the indexes below lack or read differently. Not windows-1252 for iso-8859-1, as browsers have it.
var known = map[string]charset{
	"utf8":    {},
	"u8":      {},
	"utf8sig": {skipBOM: true},
	"ascii":   {ascii: true},
	"usascii": {ascii: true},
	"latin1":  {codec: charmap.ISO8859_1},
	"l1":      {codec: charmap.ISO8859_1},
	"utf16":   {name: "utf-16-le", pairs: true, codec: unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)},
	"u16":     {name: "utf-16-le", pairs: true, codec: unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)},
	"utf16le": {name: "utf-16-le", pairs: true, codec: unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)},
	"utf16be": {name: "utf-16-be", pairs: true, codec: unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)},
}

// charsetNamed finds the charset of a `charset` parameter. An unknown name means UTF-8.
func charsetNamed(name string) charset {
	name = strings.ToLower(strings.Trim(name, `'" `))
	if c, ok := known[strings.NewReplacer("-", "", "_", "", " ", "").Replace(name)]; ok {
		return c
	}
	codec, err := ianaindex.IANA.Encoding(name)
	if codec == nil || err != nil {
		codec, err = htmlindex.Get(name)
	}
	if err != nil || codec == nil || codec == encoding.Replacement {
		return charset{}
	}
	c := charset{name: strings.ReplaceAll(name, "-", "_"), codec: codec}
	if _, single := codec.(*charmap.Charmap); single {
		c.name = "charmap"
	}
	return c
}

// strict reads a body, or fails with Python's words. A character that is cut off at the very end is left out.
func (c charset) strict(body string) (string, error) {
	switch {
	case c.ascii:
		if i := strings.IndexFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }); i >= 0 {
			return "", fmt.Errorf("'ascii' codec can't decode byte 0x%02x in position %d: ordinal not in range(128)", body[i], i)
		}
		return body, nil
	case c.codec == nil:
		if c.skipBOM {
			body = strings.TrimPrefix(body, "\uFEFF")
		}
		return strictUTF8(body)
	}
	if c.pairs {
		body = body[:len(body)&^1]
	}
	text, err := c.codec.NewDecoder().String(body)
	if errors.Is(err, unicode.ErrMissingBOM) {
		return "", errors.New("UTF-16 stream does not start with BOM")
	}
	before, _, bad := strings.Cut(text, "\uFFFD")
	if err == nil && !bad {
		return text, nil
	}
	// The library tells that something was wrong, but not where: what it read before is as long as its encoding.
	good, _ := c.codec.NewEncoder().String(before)
	at := min(len(good), len(body)-1)
	if c.pairs {
		return "", fmt.Errorf("'%s' codec can't decode bytes in position %d-%d: illegal encoding", c.name, at, at+1)
	}
	reason := "illegal multibyte sequence"
	if c.name == "charmap" {
		reason = "character maps to <undefined>"
	}
	return "", fmt.Errorf("'%s' codec can't decode byte 0x%02x in position %d: %s", c.name, body[at], at, reason)
}

// lenient reads bytes with U+FFFD for what is no character.
func (c charset) lenient(text string) string {
	if c.codec != nil {
		text, err := c.codec.NewDecoder().String(text)
		if err != nil {
			return "\uFFFD"
		}
		return text
	}
	if !c.ascii {
		return lenientUTF8(text)
	}
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < utf8.RuneSelf {
			b.WriteByte(c)
		} else {
			b.WriteRune(utf8.RuneError)
		}
	}
	return b.String()
}

// form reads an urlencoded body, which is ISO 8859-1 as a whole if it is not what it says.
func (c charset) form(body string) string {
	text, err := c.strict(body)
	if err != nil || c.codec == nil && len(text) < len(body) {
		text, _ = charmap.ISO8859_1.NewDecoder().String(body) // every byte is a character
	}
	return text
}
