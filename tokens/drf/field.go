package drf

import (
	"fmt"
	"net/http"
	"strings"
)

// Field is one value a View wants or gives: a text that must be there and must not be blank.
type Field struct {
	Name     string // the key in the request
	Label    string // what OPTIONS calls it, "Username"
	ReadOnly bool   // given and not wanted; it only shows in OPTIONS
	Optional bool   // may be absent; it is then not in the Input either
}

// Input holds the texts of the fields of a View, by name. All that are not optional are there, free of white space at both ends, not
// blank, valid UTF-8 and without U+0000.
type Input map[string]string

// Text returns the value of a field that the View declares, and "" for any other.
func (in Input) Text(field string) string { return in[field] }

// readFields applies the rules to all fields and returns either the input or the answer that lists what is wrong.
func readFields(fields []Field, data Object) (Input, *Answer) {
	in := Input{}
	var wrong Object
	for _, f := range fields {
		if f.ReadOnly {
			continue
		}
		if _, sent := data.Get(f.Name); f.Optional && !sent {
			continue
		}
		text, problems := readField(data, f.Name)
		if problems != nil {
			wrong = append(wrong, Member{f.Name, problems})
			continue
		}
		in[f.Name] = text
	}
	if wrong != nil {
		return nil, &Answer{Status: http.StatusBadRequest, Body: wrong}
	}
	return in, nil
}

func readField(data Object, name string) (text string, problems []string) {
	v, sent := data.Get(name)
	if !sent {
		return "", []string{"This field is required."}
	}
	switch v := v.(type) {
	case nil:
		return "", []string{"This field may not be null."}
	case string:
		if text = trim(v); text == "" {
			return "", []string{"This field may not be blank."}
		}
	case Number:
		text = v.Text()
	default:
		return "", []string{"Not a valid string."}
	}
	if strings.Contains(text, "\x00") {
		problems = append(problems, "Null characters are not allowed.")
	}
	if half, ok := Surrogate(text); ok {
		problems = append(problems, fmt.Sprintf("Surrogate characters are not allowed: U+%X.", half))
	}
	return text, problems
}

// trim removes white space at both ends, as Python's str.strip does.
func trim(text string) string { return strings.TrimFunc(text, isSpace) }

// Not unicode.IsSpace: it lacks U+001C to U+001F.
func isSpace(r rune) bool {
	switch r {
	case ' ', 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000:
		return true
	}
	return r >= 0x09 && r <= 0x0D || r >= 0x1C && r <= 0x1F || r >= 0x2000 && r <= 0x200A
}
