package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every example of docs/routes.md is a whole configuration that check finds nothing
// wrong with, and the table behind it is what `gatehouse routes` prints.
func TestTheExamplesOfRoutesLoad(t *testing.T) {
	page, err := os.ReadFile("../../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(yaml|text)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "jwt.key"), "an-example-signing-key-of-32-bytes!!\n")
	file := filepath.Join(dir, "gatehouse.yaml")
	examples, tables := 0, 0
	run := func(args ...string) (string, string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append(args, "--config", file), strings.NewReader(""), &stdout, &stderr); code != exitDone {
			t.Errorf("example %d: gatehouse %s: exit code %d\n%s", examples, args[0], code, stderr.String())
		}
		return stdout.String(), stderr.String()
	}
	for _, block := range blocks {
		switch kind, text := block[1], block[2]; {
		case kind == "yaml":
			examples++
			writeFile(t, file, strings.ReplaceAll(text, "/etc/gatehouse/", dir+"/"))
			_, warnings := run("check")
			for warning := range strings.Lines(warnings) {
				if !strings.Contains(warning, "everybody passes here") {
					t.Errorf("example %d: %s", examples, warning)
				}
			}
		case strings.HasPrefix(text, "HOST "):
			tables++
			got, _ := run("routes")
			if columns(strings.ReplaceAll(got, file+":", "line ")) != columns(text) {
				t.Errorf("example %d: `gatehouse routes` prints\n%s", examples, strings.ReplaceAll(got, file+":", "line "))
			}
		}
	}
	if examples < 5 || tables < 2 {
		t.Errorf("found %d examples and %d tables", examples, tables)
	}
}

// columns makes one space of several.
func columns(table string) string {
	var lines []string
	for line := range strings.Lines(table) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return fmt.Sprint(strings.Join(lines, "\n"))
}
