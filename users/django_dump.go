package users

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// ReadDjangoDump reads what `manage.py dumpdata` wrote, as JSON or as JSON Lines,
// whatever else is in it. It is read record by record; what is kept of an account
// is some hundred bytes. Everything that is wrong with the data comes as one
// [*DjangoError]; other errors are those of in and ctx.
func ReadDjangoDump(ctx context.Context, in io.Reader, how DjangoReading) (*DjangoSite, error) {
	if err := how.check(); err != nil {
		return nil, err
	}
	d := &djangoDump{
		djangoReader: newDjangoReader(how),
		userModel:    strings.ToLower(how.UserModel), // as loaddata does
		lookalikes:   map[string]bool{},
	}
	if d.userModel == "" {
		d.userModel = "auth.user"
	}
	d.site.coarse = true
	if err := d.records(ctx, bufio.NewReaderSize(in, 1<<16)); err != nil {
		return nil, err
	}
	return d.done()
}

// djangoDump reads the records of a dump.
type djangoDump struct {
	*djangoReader
	userModel  string
	lookalikes map[string]bool // models with a password that are not the user model
	seen       bool            // a user was there
}

// djangoRecord is an object of a dump.
type djangoRecord struct {
	Model  string          `json:"model"`
	PK     any             `json:"pk"`
	Fields json.RawMessage `json:"fields"`
}

// howToDump is the remedy for most of what a file can be.
const howToDump = "write one with: manage.py dumpdata auth.group auth.user --output dump.json"

// records reads an array of records, or one record after the other.
func (d *djangoDump) records(ctx context.Context, in *bufio.Reader) error {
	array, err := opening(in)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(in)
	decoder.UseNumber()
	if array {
		if _, err := decoder.Token(); err != nil {
			return d.broken(0, err)
		}
	}
	n := 1
	for ; !array || decoder.More(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if !array && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return d.broken(n, err)
		}
		if err := d.record(n, raw); err != nil {
			return err
		}
		d.read()
	}
	if _, err := decoder.Token(); err != nil {
		return d.broken(n, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return djangoProblem(nil, "keep one dump in a file, or dump all models at once", "there is more behind the end of the dump")
	}
	return nil
}

// opening tells whether the dump is an array, by its first character.
func opening(in *bufio.Reader) (array bool, err error) {
	if start, _ := in.Peek(3); bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) {
		return false, djangoProblem(nil, "let Django write the file, not the shell: manage.py dumpdata auth.group auth.user --output dump.json", "the dump is UTF-16, want UTF-8")
	} else if string(start) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	for {
		c, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return false, djangoProblem(err, howToDump, "the dump is empty")
		case err != nil:
			return false, fmt.Errorf("read the dump: %w", err)
		case strings.IndexByte(" \t\r\n", c) >= 0:
			continue
		case c == '[' || c == '{':
			return c == '[', in.UnreadByte()
		default:
			return false, djangoProblem(nil, howToDump, "this is not a dump in JSON: it begins with %q", rune(c))
		}
	}
}

// broken explains an error of the decoder at record n.
func (d *djangoDump) broken(n int, err error) error {
	syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return djangoProblem(err, "write it again; a full disk or an interrupted command leaves such a file", "the dump ends in the middle of record %d", n)
	case isSyntax:
		return djangoProblem(err, howToDump, "record %d of the dump is not JSON, at byte %d: %v", n, syntax.Offset, err)
	}
	return fmt.Errorf("read the dump: %w", err)
}

// record takes what concerns us. Fields of other models are not looked at.
func (d *djangoDump) record(n int, raw json.RawMessage) error {
	var record djangoRecord
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&record); err != nil || record.Model == "" {
		return djangoProblem(err, howToDump, "record %d is not of the form that dumpdata writes", n)
	}
	at := fmt.Sprintf("record %d (%s %v)", n, record.Model, record.PK)
	if record.PK == nil {
		at = fmt.Sprintf("record %d (%s)", n, record.Model)
	}
	var take func(string, djangoRecord, map[string]any) error
	switch strings.ToLower(record.Model) {
	case d.userModel:
		take = d.userRecord
	case "auth.group":
		take = d.groupRecord
	case "token_blacklist.outstandingtoken":
		take = d.outstandingRecord
	case "token_blacklist.blacklistedtoken":
		take = d.blacklistedRecord
	default:
		if bytes.Contains(record.Fields, []byte(`"password"`)) {
			d.lookalikes[record.Model] = true
		}
		return nil
	}
	var fields map[string]any
	decoder = json.NewDecoder(bytes.NewReader(record.Fields))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil || fields == nil || !utf8.Valid(record.Fields) {
		d.problem("%s: its fields are not an object in UTF-8", at)
		return nil //nolint:nilerr // told with the other problems
	}
	return take(at, record, fields)
}

func (d *djangoDump) userRecord(at string, record djangoRecord, fields map[string]any) error {
	if record.PK == nil {
		return djangoProblem(nil, "dump without --natural-primary", "%s has no number, and the number is what tokens name", at)
	}
	if theirs := d.how.column("id"); theirs == "id" {
		fields["id"] = record.PK
	}
	if !d.seen {
		d.seen = true
		if err := d.complete(fields); err != nil {
			return err
		}
	}
	var groups []djangoRef
	if column := d.how.column("groups"); column != "" {
		list, ok := fields[column].([]any)
		if !ok {
			d.problem("%s: %s is %s, want a list", at, column, describe(fields[column]))
			return nil
		}
		for _, entry := range list {
			ref, ok := asRef(entry)
			if !ok {
				d.problem("%s: %s holds %s, want numbers or names of groups", at, column, describe(entry))
				return nil
			}
			groups = append(groups, ref)
		}
	}
	d.user(at, fields, groups)
	return nil
}

// complete looks at the first user for fields that the model does not have, so
// that this is told once and not for every user.
func (d *djangoDump) complete(fields map[string]any) error {
	var missing []string
	for _, name := range djangoColumns {
		if column := d.how.column(name); column != "" {
			if _, ok := fields[column]; !ok {
				missing = append(missing, missingColumn("the model "+d.userModel, "field", name, column))
			}
		}
	}
	if len(missing) > 0 {
		return &DjangoError{Problems: missing, Fix: whatIsMissing}
	}
	return nil
}

const whatIsMissing = "say what it is called with --column NAME=THEIRS, or --column NAME= if the site has no such thing"

func missingColumn(where, what, name, column string) string {
	if name == column {
		return fmt.Sprintf("%s has no %s %s", where, what, name)
	}
	return fmt.Sprintf("%s has no %s %s, which was named for %s", where, what, column, name)
}

// asRef reads a number, or a list of one name.
func asRef(value any) (djangoRef, bool) {
	if list, ok := value.([]any); ok && len(list) == 1 {
		name, ok := asText(list[0])
		return djangoRef{name: name}, ok
	}
	n, ok := asNumber(value)
	return djangoRef{id: n}, ok && n > 0
}

func (d *djangoDump) groupRecord(at string, record djangoRecord, fields map[string]any) error {
	id, ok := asNumber(record.PK)
	name, isText := asText(fields["name"])
	switch {
	case record.PK != nil && (!ok || id < 1):
		d.problem("%s: its number is %s, want a whole number", at, describe(record.PK))
	case !isText:
		d.problem("%s: name is %s, want text", at, describe(fields["name"]))
	default:
		d.group(at, id, name)
	}
	return nil
}

// done returns the site. A dump without users is refused: it is most likely not
// the one that was meant.
func (d *djangoDump) done() (*DjangoSite, error) {
	if !d.seen && len(d.problems) == 0 {
		fix := howToDump
		if models := sortedKeys(d.lookalikes); len(models) > 0 {
			fix = "say which model has the users, such as --user-model " + models[0]
		}
		return nil, djangoProblem(nil, fix, "the dump holds no record of the model %s", d.userModel)
	}
	return d.finish()
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
