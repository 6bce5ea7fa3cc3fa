package probe

import (
	"context"
	"fmt"
	"strings"
)

// path is the one that exists.
func (t *Target) path() string {
	switch {
	case t.Path != "":
		return t.Path
	case t.Echo != "":
		return t.Echo
	}
	return "/"
}

// alias is another spelling of a path, and what a gateway does about it.
type alias struct{ path, what, advice string }

// aliases are those of a path with at least one segment.
func aliases(path string) []alias {
	at := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')
	front, last := path[:at+1], path[at+1:]
	name := strings.TrimSuffix(last, "/")
	escaped := fmt.Sprintf("%s%%%02x%s", front, name[0], last[1:])
	swapped := strings.ToUpper(last)
	if swapped == last {
		swapped = strings.ToLower(last)
	}
	list := []alias{
		{front + "/" + last, "a doubled slash", ""},
		{front + "./" + last, "a dot segment", ""},
		{front + "x/../" + last, "a segment and back", ""},
		{front + "%2e/" + last, "an escaped dot segment", ""},
		{escaped, "an escaped letter", ""},
		{front + name + ";a=b" + last[len(name):], "a parameter", ""},
		{front + name + "%3Ba=b" + last[len(name):], "an escaped parameter", ""},
		{front + name + "." + last[len(name):], "a dot at the end", "write the rules for whole subtrees, as path: /x/*"},
		{front + name + "%20" + last[len(name):], "a space at the end", "write the rules for whole subtrees, as path: /x/*"},
		{front + `x\..\` + last, "backslashes", ""},
		{front + "x%2f..%2f" + last, "escaped slashes", "leave encoded_slash: reject (the default) on its routes"},
		{front + "x%5c..%5c" + last, "escaped backslashes", "leave encoded_slash: reject (the default) on its routes"},
		{path + "%00", "a zero byte", ""},
		{path + "%23x", "an escaped #", ""},
	}
	if swapped != last {
		list = append(list, alias{front + swapped, "other letter case", "write rules in one spelling: gatehouse refuses the others where another policy holds for them"})
	}
	if trimmed, slash := strings.CutSuffix(path, "/"); slash {
		list = append(list, alias{trimmed, "no slash at the end", ""})
	} else {
		list = append(list, alias{path + "/", "a slash at the end", ""})
	}
	return list
}

// paths asks which spellings of a path are the same to the backend.
func (p *prober) paths(ctx context.Context) error {
	path, _, _ := strings.Cut(p.t.path(), "?")
	everywhere := strings.Trim(path, "/") == "" // an application that answers everywhere may tell the path
	if everywhere {
		path = strings.TrimSuffix(path, "/") + "/gatehouse-doctor/page"
	}
	usual, err := p.t.get(ctx, path, p.user()...)
	if err != nil {
		return err
	}
	strange, err := p.t.get(ctx, strings.TrimSuffix(path, "/")+"-"+mark(), p.user()...)
	if err != nil {
		return err
	}
	tells := names(usual.body, path)
	alike := same(usual, strange)
	if alike && !tells {
		p.add("path-alias", path, "answers as any other path does", Unknown, "name a path that exists, best one that is protected: --path /admin/")
		return nil
	}
	for _, alias := range aliases(path) {
		a, err := p.t.get(ctx, alias.path, p.user()...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		sent := fmt.Sprintf("%s (%s)", alias.path, alias.what)
		slash := strings.HasSuffix(alias.what, "slash at the end")
		switch {
		case err != nil || a.status == 400:
			p.add("path-alias", sent, outcome(a, err), Fine, "")
		case !alike && same(a, usual), alike && names(a.body, path):
			advice := alias.advice
			if advice == "" {
				advice = "gatehouse matches and forwards one form of both, or refuses"
			}
			verdict := Note
			if alias.advice == "" {
				verdict = Fine
			}
			p.add("path-alias", sent, "the same path", verdict, advice)
		case slash && a.status/100 == 3:
			p.add("path-alias", sent, "a redirect to the same path", Fine, "")
		default:
			p.add("path-alias", sent, fmt.Sprintf("another path (%d)", a.status), Fine, "")
		}
	}
	return nil
}

// names tells whether an answer quotes exactly this path.
func names(body, path string) bool {
	body = strings.ReplaceAll(body, `\/`, "/")
	return strings.Contains(body, `"`+path+`"`) || strings.Contains(body, `'`+path+`'`) || strings.Contains(body, " "+path+"\n") || strings.Contains(body, " "+path+" ")
}

// same tells whether two answers are those to one path. Bodies differ in many small
// things; the status and where it leads decide, and the size.
func same(a, b answer) bool {
	there, _, _ := strings.Cut(a.location, "?") // which often names where one wanted to go
	here, _, _ := strings.Cut(b.location, "?")
	return a.status == b.status && there == here && (a.body == b.body || near(len(a.body), len(b.body)))
}

// near leaves room for a token in a form and the path in a page.
func near(a, b int) bool { return max(a, b)-min(a, b) <= 16+max(a, b)/50 }
