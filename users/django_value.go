package users

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// djangoRow reads the values of one row, as a database or a dump has them, and
// collects what is not as it should be.
type djangoRow struct {
	values map[string]any // nil, bool, int64, float64, json.Number, string, []byte, and what else JSON has
	how    DjangoReading
	faults []string
}

func (r *djangoRow) fault(column, want string, got any) {
	r.faults = append(r.faults, fmt.Sprintf("%s is %s, want %s", column, describe(got), want))
}

// value returns what the row holds of a column of auth_user. It is not ok if the
// site has no such column.
func (r *djangoRow) value(name string) (column string, value any, ok bool) {
	column = r.how.column(name)
	if column == "" {
		return "", nil, false
	}
	value, ok = r.values[column]
	if !ok {
		r.faults = append(r.faults, fmt.Sprintf("it has no %s", column))
	}
	return column, value, ok
}

func (r *djangoRow) number(name string) int64 {
	column, value, ok := r.value(name)
	if !ok {
		return 0
	}
	n, ok := asNumber(value)
	if !ok {
		r.fault(column, "a whole number", value)
	}
	return n
}

// text takes null for empty, which some sites have in columns that may be empty.
func (r *djangoRow) text(name string) string {
	column, value, ok := r.value(name)
	if !ok || value == nil {
		return ""
	}
	text, ok := asText(value)
	if !ok {
		r.fault(column, "text", value)
	}
	return text
}

func (r *djangoRow) flag(name string, absent bool) bool {
	column, value, ok := r.value(name)
	if !ok {
		return absent
	}
	flag, ok := asFlag(value)
	if !ok {
		r.fault(column, "true or false", value)
	}
	return flag
}

func (r *djangoRow) moment(name string) time.Time {
	column, value, ok := r.value(name)
	if !ok {
		return time.Time{}
	}
	at, ok := asMoment(value, r.how.Zone)
	if !ok || (at.IsZero() && name == "date_joined") {
		r.fault(column, "a time", value)
	}
	return at
}

func asNumber(value any) (int64, bool) {
	switch v := value.(type) {
	case int64:
		return v, true
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		return n, err == nil
	}
	return 0, false
}

func asText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, utf8.ValidString(v)
	case []byte:
		return string(v), utf8.Valid(v)
	}
	return "", false
}

// asFlag takes 0 and 1, which is what most databases have.
func asFlag(value any) (flag, ok bool) {
	if flag, ok := value.(bool); ok {
		return flag, true
	}
	n, ok := asNumber(value)
	return n == 1, ok && (n == 0 || n == 1)
}

// asMoment takes null for no time. A zone that is not named is zone, or UTC.
func asMoment(value any, zone *time.Location) (time.Time, bool) {
	if value == nil {
		return time.Time{}, true
	}
	text, ok := asText(value)
	if !ok {
		return time.Time{}, false
	}
	if zone == nil {
		zone = time.UTC
	}
	// Fractions of a second are read although the layouts have none.
	for _, layout := range []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05",
		"2006-01-02 15:04", "2006-01-02",
	} {
		at, err := time.ParseInLocation(layout, text, zone)
		// The range of Python's datetime. It also keeps the zero time out.
		if err == nil && at.After(time.Date(1, 1, 1, 23, 59, 59, 0, time.UTC)) {
			return at.UTC().Truncate(time.Microsecond), true
		}
	}
	return time.Time{}, false
}

// describe says what kind of value there is, without the value: it may be a secret.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case int64, float64, json.Number:
		return fmt.Sprintf("the number %v", v)
	case string:
		if !utf8.ValidString(v) {
			return "not UTF-8"
		}
		return "a text"
	case []byte:
		return "bytes"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
