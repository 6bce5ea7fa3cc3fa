package drf

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// What may be wrong with the bytes at some place, in Python's words.
const (
	badStart        = "invalid start byte"
	badContinuation = "invalid continuation byte"
	cutOff          = "unexpected end of data"
)

// strictUTF8 reads text as a stream is read: what is cut off at its end is left out. The error names bytes, not characters.
func strictUTF8(text string) (string, error) {
	at, size, problem := firstFault(text)
	switch {
	case problem == "":
		return text, nil
	case problem == cutOff:
		return text[:at], nil
	case size > 1:
		return "", fmt.Errorf("'utf-8' codec can't decode bytes in position %d-%d: %s", at, at+size-1, problem)
	case at+2 == len(text) && text[at] == 0xED && text[at+1]&0xE0 == 0xA0:
		return text[:at], nil // the beginning of an encoded surrogate: wrong in the middle, but only cut off at the end
	}
	return "", fmt.Errorf("'utf-8' codec can't decode byte 0x%02x in position %d: %s", text[at], at, problem)
}

// lenientUTF8 puts one U+FFFD for each wrong beginning of a character, as long as it could have become one.
//
// Not strings.ToValidUTF8: it makes one U+FFFD of a whole run, and a password would be compared with something else.
func lenientUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for {
		at, size, problem := firstFault(text)
		b.WriteString(text[:at])
		if problem == "" {
			return b.String()
		}
		b.WriteRune(utf8.RuneError)
		text = text[at+size:]
	}
}

// firstFault returns where text stops being UTF-8, how many bytes belong to the fault and what it is: "" if there is none,
// and then where is the end.
func firstFault(text string) (at, size int, problem string) {
	for at < len(text) {
		if size, problem = faultAt(text[at:]); problem != "" {
			return at, size, problem
		}
		at += size
	}
	return at, 0, ""
}

// faultAt looks at one character. Unicode, chapter 3, table 3-7.
func faultAt(text string) (size int, problem string) {
	c := text[0]
	low, high := byte(0x80), byte(0xBF) // what the second byte may be
	switch {
	case c < utf8.RuneSelf:
		return 1, ""
	case c < 0xC2 || c > 0xF4:
		return 1, badStart
	case c < 0xE0:
		size = 2
	case c < 0xF0:
		size = 3
	default:
		size = 4
	}
	switch c {
	case 0xE0:
		low = 0xA0
	case 0xED:
		high = 0x9F
	case 0xF0:
		low = 0x90
	case 0xF4:
		high = 0x8F
	}
	for i := 1; i < size; i++ {
		if i == len(text) {
			return i, cutOff
		}
		if text[i] < low || text[i] > high {
			return i, badContinuation
		}
		low, high = 0x80, 0xBF
	}
	return size, ""
}
