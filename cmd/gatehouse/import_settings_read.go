package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// simpleJWT is a site's SIMPLE_JWT on its way to the section tokens.
type simpleJWT struct {
	given    map[string]json.RawMessage
	warnings []string // what has no equal, or seldom one
	faults   []string // what cannot be
	tokens   []string // lines of the sections
	login    []string
}

// readSimpleJWT wants one JSON object, which may be the value of SIMPLE_JWT in another.
func readSimpleJWT(text []byte) (*simpleJWT, error) {
	text = bytes.TrimPrefix(bytes.TrimSpace(text), []byte("\ufeff"))
	s := &simpleJWT{}
	if err := json.Unmarshal(text, &s.given); err != nil {
		why := "it is not JSON"
		if at, ok := errors.AsType[*json.SyntaxError](err); ok {
			before := text[:min(int(at.Offset), len(text))]
			why += fmt.Sprintf(", as line %d shows", 1+bytes.Count(before, []byte("\n")))
		} else {
			why = "it is not an object of settings"
		}
		if bytes.HasPrefix(text, []byte("{'")) {
			why += "; it is what Python prints of a dictionary"
		}
		return nil, errors.New(why)
	}
	if inner, ok := s.given["SIMPLE_JWT"]; ok && len(s.given) == 1 {
		s.given = nil
		if err := json.Unmarshal(inner, &s.given); err != nil {
			return nil, errors.New("SIMPLE_JWT is not an object of settings")
		}
	}
	if s.given == nil {
		return nil, errors.New("there are no settings, only null; a site without SIMPLE_JWT has the defaults, as gatehouse has: write {}")
	}
	return s, nil
}

// value returns what was given; None is as if nothing was.
func (s *simpleJWT) value(name string) (json.RawMessage, bool) {
	raw, ok := s.given[name]
	return raw, ok && !isNull(raw)
}

func (s *simpleJWT) string(name string) (string, bool) {
	raw, ok := s.value(name)
	if !ok {
		return "", false
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		if strings.HasSuffix(name, "_KEY") {
			raw = json.RawMessage("something else") // a secret is not shown
		}
		s.fault(name, "it is %s; it can be a text", shown(raw))
		return "", false
	}
	return text, true
}

func (s *simpleJWT) bool(name string, usual bool) (value, given bool) {
	raw, ok := s.given[name]
	if !ok {
		return usual, false
	}
	if isNull(raw) {
		return false, true // as Python takes it
	}
	if json.Unmarshal(raw, &value) != nil {
		s.fault(name, "it is %s; it can be true or false", shown(raw))
		return usual, false
	}
	return value, true
}

func (s *simpleJWT) text(name, key string, emptyIsNone bool) {
	if text, ok := s.string(name); ok && (text != "" || !emptyIsNone) {
		s.line("%s: %s", key, quote(text))
	}
}

func (s *simpleJWT) duration(name, key string, least time.Duration) {
	raw, ok := s.value(name)
	if !ok {
		return
	}
	d, err := pythonDuration(raw)
	switch {
	case err != nil:
		s.fault(name, "it is %s; it can be seconds, such as 300, or what Python prints of a timedelta, such as 0:05:00", shown(raw))
	case d < least:
		s.fault(name, "%s is less than %s, which gatehouse takes at least", shown(raw), least)
	default:
		s.line("%s: %s", key, inUnits(d))
	}
}

func (s *simpleJWT) line(format string, args ...any) {
	s.tokens = append(s.tokens, fmt.Sprintf(format, args...))
}

func (s *simpleJWT) warn(name, format string, args ...any) {
	s.warnings = append(s.warnings, name+": "+fmt.Sprintf(format, args...))
}

func (s *simpleJWT) fault(name, format string, args ...any) {
	if text := name + ": " + fmt.Sprintf(format, args...); !slices.Contains(s.faults, text) {
		s.faults = append(s.faults, text)
	}
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// shown is a value in a message.
func shown(raw json.RawMessage) string {
	if len(raw) > 60 {
		return string(raw[:57]) + "…"
	}
	return string(raw)
}

// texts reads a list of texts, or one.
func texts(raw json.RawMessage) ([]string, bool) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, true
	}
	var many []string
	return many, json.Unmarshal(raw, &many) == nil
}

// classOf takes the name of a class apart, also one that Python has printed.
func classOf(text string) (module, name string) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "<class '"), "'>")
	if function, ok := strings.CutPrefix(text, "<function "); ok {
		text, _, _ = strings.Cut(function, " ")
	}
	at := strings.LastIndexByte(text, '.')
	if at < 0 {
		return "", text
	}
	return text[:at], text[at+1:]
}
