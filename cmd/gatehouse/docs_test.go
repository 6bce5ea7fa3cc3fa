package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/cmd/gatehouse/internal/config"
)

// marked finds what stands between `docs:NAME:begin` and `docs:NAME:end` in the
// programs that the tests run.
var marked = regexp.MustCompile(`(?ms)^[ \t]*(?:#|//) docs:([a-z-]+):begin\n(.*?)^[ \t]*(?:#|//) docs:[a-z-]+:end`)

// What docs/backends.md tells people to write is what the tests have run.
func TestSnippetsAreWhatTheTestsRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/backends.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir("testdata/backends", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range marked.FindAllStringSubmatch(string(text), -1) {
			found++
			if snippet := outdent(match[2]); !strings.Contains(string(page), "\n"+snippet+"```\n") {
				t.Errorf("docs/backends.md does not have %s of %s:\n%s", match[1], path, snippet)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 5 {
		t.Errorf("found %d snippets; the marks are gone", found)
	}
}

// Every variable that a document names is one that the program knows.
func TestDocumentedVariablesExist(t *testing.T) {
	named := regexp.MustCompile(`GATEHOUSE_[A-Z0-9_]*[A-Z0-9]`)
	pages := []string{"../../README.md", "../../Dockerfile", "../../docs/deploy/compose/compose.yaml"}
	more, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, more...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			_, err := config.Load(config.Input{Environ: []string{name + "=x"}})
			if err != nil && strings.Contains(err.Error(), "no such setting") {
				t.Errorf("%s names %s: %v", filepath.Base(page), name, err)
			}
		}
	}
}

// Every test that docs/security.md names is there.
func TestDocumentedTestsExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	err = filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		tests.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 50 {
		t.Errorf("found %d names of tests", len(named))
	}
	for _, name := range named {
		if !strings.Contains(tests.String(), "func "+name[1]+"(") {
			t.Errorf("docs/security.md names %s, which does not exist", name[1])
		}
	}
}

// outdent takes the indentation of the first line off all lines.
func outdent(text string) string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	lines := strings.SplitAfter(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], indent)
	}
	return strings.Join(lines, "")
}
