package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration; the largest sensible one is a hundredth of it.
const maxFile = 16 << 20

// parse returns the mapping that the file consists of, or what is wrong with
// its form: the line and the problem.
func parse(data []byte) (root *yaml.Node, line int, problem string) {
	if line, problem := unreadable(data); problem != "" {
		return nil, line, problem
	}
	// Node by node and not into a Go value: that would merge, convert and
	// expand before anyone could look.
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, 1, emptyFile
	case err != nil:
		line, problem := explain(err, data)
		return nil, line, problem
	}
	var next yaml.Node
	switch err := decoder.Decode(&next); {
	case err == nil:
		return nil, within(next.Line, data), "a second YAML document begins here; keep one document, without --- between its parts"
	case !errors.Is(err, io.EOF):
		line, problem := explain(err, data)
		return nil, line, problem
	}
	root = document.Content[0]
	clamp(root, lastLine(data))
	switch {
	case isNull(root):
		return nil, 1, emptyFile
	case root.Kind != yaml.MappingNode:
		return nil, root.Line, "the file is " + describe(root, false) + " where sections are expected; begin with a line such as `upstreams:`"
	}
	return root, 0, ""
}

const emptyFile = "the file says nothing; the smallest configuration has the sections tokens, upstreams and routes"

// unreadable finds bytes that are no text, which the parser reports without a line.
func unreadable(data []byte) (line int, problem string) {
	if len(data) > maxFile {
		return 1, "the file is larger than 16 MiB; this is not a configuration"
	}
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return 1, "the file is encoded in UTF-16; save it as UTF-8"
	}
	line = 1
	for rest := data; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1:
			return line, "there is a byte that is not UTF-8 text; save the file as UTF-8"
		case r < ' ' && r != '\t' && r != '\r', r == 0x7F:
			return line, "there is a control character; delete it"
		}
		rest = rest[size:]
	}
	return 0, ""
}

var (
	lineInError   = regexp.MustCompile(`line (\d+): `)
	unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)
)

// explain turns an error of the YAML parser into a line and a sentence.
func explain(err error, data []byte) (line int, problem string) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	// The parser leaves the line out where it counts it as 0: the first.
	line = 1
	if found := lineInError.FindStringSubmatch(text); found != nil {
		line, _ = strconv.Atoi(found[1])
		text = strings.Replace(text, found[0], "", 1)
	}
	line = within(line, data)
	if found := unknownAnchor.FindStringSubmatch(text); found != nil {
		if at := bytes.Index(data, []byte("*"+found[1])); at >= 0 {
			line = 1 + bytes.Count(data[:at], []byte("\n"))
		}
		return line, "the value begins with * and is taken for a YAML alias; write it in quotes"
	}
	switch {
	case strings.Contains(text, "did not find expected alphabetic or numeric character"):
		return line, "the value begins with * or & and is taken for a YAML alias or anchor; write it in quotes"
	case strings.Contains(text, "found character that cannot start any token"):
		return line, "YAML cannot be read: a tab, or a character that means something in YAML, stands at the start of a value; indent with spaces, and write the value in quotes"
	default:
		return line, "YAML cannot be read: " + strings.Map(printable, text) + "; look at the indentation, colons and quotes here and on the line above"
	}
}

// clamp keeps the lines of all nodes inside the file. The parser gives a value
// that is missing at the end the line behind it, and counts characters as line
// breaks that no editor does.
func clamp(node *yaml.Node, last int) {
	node.Line = max(1, min(node.Line, last))
	for _, inner := range node.Content {
		clamp(inner, last)
	}
}

// within keeps a line number inside the file.
func within(line int, data []byte) int {
	return max(1, min(line, lastLine(data)))
}

func lastLine(data []byte) int {
	last := bytes.Count(data, []byte("\n"))
	if !bytes.HasSuffix(data, []byte("\n")) {
		last++
	}
	return last
}

func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return '?'
}
