package identity

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

const words = "user_id, username, email, groups, or a map with claim"

var defaults = map[string]Source{
	"X-User-Id":     {Word: "user_id"},
	"X-User-Name":   {Word: "username"},
	"X-User-Email":  {Word: "email"},
	"X-User-Groups": {Word: "groups"},
}

// source is a compiled Source.
type source struct {
	word     string
	claim    []string
	join     string
	fallback *string // escaped
}

// compile reads a Source. On a fault it says what to write.
func compile(cfg Source) (s source, problem, fix string) {
	switch {
	case cfg.Word == "" && cfg.Claim == nil:
		return s, "the header has no source", "write " + words
	case cfg.Word != "" && cfg.Claim != nil:
		return s, "from and claim at once", "take one out"
	case cfg.Word != "" && cfg.Word != "user_id" && cfg.Word != "username" && cfg.Word != "email" && cfg.Word != "groups":
		return s, fmt.Sprintf("there is no source %q", cfg.Word), fmt.Sprintf("write %s: {claim: %s}", words, cfg.Word)
	case cfg.Claim != nil && len(cfg.Claim) == 0:
		return s, "the claim has no name", "write it as one word, or as a list of steps"
	}
	for _, step := range cfg.Claim {
		if step == "" {
			return s, "a step of the claim is empty", "write the names of the members on the way to it"
		}
	}
	s = source{word: cfg.Word, claim: cfg.Claim, join: ","}
	if cfg.Join != "" {
		s.join = cfg.Join
	}
	switch {
	case cfg.Join != "" && s.plain():
		return s, fmt.Sprintf("%s is never a list", cfg.Word), "leave join out"
	case len(s.join) > 4 || strings.ContainsFunc(s.join, func(r rune) bool {
		return r < ' ' || r >= 0x7f || r == '%' || fold(byte(r)) != '_'
	}):
		return s, fmt.Sprintf("join cannot be %q", s.join), "write one to four of , ; | : and the like, or spaces"
	}
	if cfg.Default != nil {
		if strings.ContainsFunc(*cfg.Default, func(r rune) bool { return r < ' ' || r >= 0x7f }) || strings.TrimSpace(*cfg.Default) != *cfg.Default {
			return s, fmt.Sprintf("the default %q cannot stand in a header", *cfg.Default), "write printable ASCII without spaces at its ends"
		}
		text := string(appendValue(nil, *cfg.Default, ""))
		s.fallback = &text
	}
	return s, "", ""
}

// plain reports whether the source is one of the words that are one text.
func (s *source) plain() bool { return s.word != "" && s.word != "groups" }

// value is the header's value for a user.
func (s *source) value(p Person) (value string, ok bool) {
	switch s.word {
	case "user_id":
		value = escape(p.UserID)
	case "username":
		value = escape(p.Username)
	case "email":
		value = escape(p.Email)
	case "groups":
		value = s.list(p.Groups)
	default:
		value = s.fromClaim(p)
	}
	if value == "" {
		if s.fallback == nil {
			return "", false
		}
		return *s.fallback, true
	}
	return value, true
}

func (s *source) fromClaim(p Person) string {
	if p.Claims == nil {
		return ""
	}
	claim, ok := p.Claims(s.claim)
	if !ok {
		return ""
	}
	switch claim := claim.(type) {
	case []string:
		return s.list(claim)
	case []any:
		texts := make([]string, len(claim))
		for i, element := range claim {
			if texts[i], ok = scalar(element); !ok {
				return ""
			}
		}
		return s.list(texts)
	}
	text, _ := scalar(claim)
	return string(appendValue(nil, text, s.join))
}

func (s *source) list(elements []string) string {
	var b []byte
	for _, element := range elements {
		if element == "" {
			continue // it could not be told from no element at all
		}
		if len(b) > 0 {
			b = append(b, s.join...)
		}
		b = appendValue(b, element, s.join)
	}
	return string(b)
}

// scalar is the text of a string, number or boolean of whatever Go type: a number
// that kept its literal text is a string here.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	}
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.String:
		return r.String(), true
	case r.CanInt():
		return strconv.FormatInt(r.Int(), 10), true
	case r.CanUint():
		return strconv.FormatUint(r.Uint(), 10), true
	case r.CanFloat():
		return strconv.FormatFloat(r.Float(), 'f', -1, 64), true
	}
	return "", false
}

// escape is the value of one text that is no part of a list.
func escape(text string) string {
	if !needsEscape(text) {
		return text
	}
	return string(appendValue(nil, text, ""))
}

func needsEscape(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '%' || c == ' ' && (i == 0 || i == len(text)-1) {
			return true
		}
	}
	return false
}

// appendValue escapes what the package says, and every byte of separator.
func appendValue(b []byte, text, separator string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c >= 0x7f || c == '%' || c == ' ' && (i == 0 || i == len(text)-1) || strings.IndexByte(separator, c) >= 0 {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}
