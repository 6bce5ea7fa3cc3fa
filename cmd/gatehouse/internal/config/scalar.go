package config

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// readScalar reads one value of the file. YAML guesses types from how a value
// is written; here the type of the key decides, and a guess that contradicts it
// is refused where it could hide a mistake. A number or a date where text is
// wanted (kid: 2026) is taken as it is written, since that is what is seen.
func readScalar(node *yaml.Node, v reflect.Value, secret bool) (problem string) {
	typ := v.Type()
	for typ.Kind() == reflect.Slice && !isWord(typ) || typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	tag := node.ShortTag()
	quoted := node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
	default:
		return "has the YAML tag " + show(tag) + ", which is not supported; write the plain value"
	}
	switch {
	case isWord(typ) || typ == durationType:
	case typ.Kind() == reflect.Bool && tag != "!!bool":
		return "is " + describe(node, secret) + "; " + rightBool(node.Value)
	case typ.Kind() == reflect.String && tag == "!!bool":
		return "is " + describe(node, secret) + " where text is expected; write it in quotes if it is meant"
	case isInteger(typ) && tag != "!!int" && quoted:
		return "is " + describe(node, secret) + "; write a number without quotes"
	case isInteger(typ) && tag != "!!int":
		return "is " + describe(node, secret) + "; write a whole number"
	}
	err := setScalar(v, tag, node.Value)
	if err != nil {
		if secret {
			return "has a value that cannot be read; write text"
		}
		return err.Error()
	}
	return ""
}

// scalarUnmarshaler is a value of which it matters how it is written: "5" is
// another one than 5. kind is text, number or boolean.
type scalarUnmarshaler interface {
	UnmarshalScalar(kind, text string) error
}

// setScalar is setText for a value whose kind YAML has found.
func setScalar(v reflect.Value, tag, text string) error {
	if v.Kind() == reflect.Slice && !isWord(v.Type()) {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return setScalar(v.Index(0), tag, text)
	}
	typed, ok := v.Addr().Interface().(scalarUnmarshaler)
	switch {
	case !ok:
		return setText(v, text)
	case tag == "!!int" || tag == "!!float":
		return typed.UnmarshalScalar("number", text)
	case tag == "!!bool":
		return typed.UnmarshalScalar("boolean", text)
	}
	return typed.UnmarshalScalar("text", text)
}

func rightBool(text string) string {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "y", "1":
		return "write true, without quotes"
	case "false", "no", "off", "n", "0":
		return "write false, without quotes"
	default:
		return "write true or false"
	}
}

// setText reads a text as the type of v wants it. The error is a problem and what to do.
func setText(v reflect.Value, text string) error {
	if word, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return word.UnmarshalText([]byte(text))
	}
	if v.Type() == durationType {
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return setText(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return setText(v.Index(0), text)
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		if text != "true" && text != "false" && text != "True" && text != "False" && text != "TRUE" && text != "FALSE" {
			return errors.New("is " + strconv.Quote(text) + "; " + strings.Replace(rightBool(text), ", without quotes", "", 1))
		}
		v.SetBool(strings.EqualFold(text, "true"))
		return nil
	}
	if isInteger(v.Type()) {
		// Base 0 as in YAML: 0x10, 0o17, 1_000.
		n, err := strconv.ParseInt(text, 0, v.Type().Bits())
		if err != nil {
			return errors.New("is " + strconv.Quote(text) + "; write a whole number")
		}
		v.SetInt(n)
		return nil
	}
	return errors.New("cannot be written as one value")
}

func isInteger(typ reflect.Type) bool {
	return typ.Kind() >= reflect.Int && typ.Kind() <= reflect.Int64
}

// parseDuration reads Go's form ("1h30m", "1500ms") with days in front ("7d",
// "1d12h"). A number without a unit is refused, except 0; so is one below 0.
func parseDuration(text string) (time.Duration, error) {
	form := "write a number and a unit: 1500ms, 30s, 5m, 24h or 7d"
	if text == "" {
		return 0, errors.New("is empty; " + form)
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil && strings.Trim(text, "0.") != "" {
		return 0, errors.New("is " + strconv.Quote(text) + ", which has no unit; " + form)
	}
	var days time.Duration
	rest := text
	if number, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n < 0 || n*float64(24*time.Hour) >= math.MaxInt64 || strings.Trim(number, "0123456789.") != "" {
			return 0, errors.New("is " + strconv.QuoteToASCII(text) + ", which is no duration; " + form)
		}
		days, rest = time.Duration(n*float64(24*time.Hour)), after
		if rest == "" {
			rest = "0"
		}
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err != nil:
		return 0, errors.New("is " + strconv.QuoteToASCII(text) + ", which is no duration; " + form)
	case d < 0:
		return 0, errors.New("is " + strconv.QuoteToASCII(text) + ", which is below 0; " + form)
	case d > math.MaxInt64-days:
		return 0, errors.New("is " + strconv.QuoteToASCII(text) + ", which is more than 292 years; " + form)
	}
	return days + d, nil
}
