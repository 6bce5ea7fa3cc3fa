package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/cmd/gatehouse/internal/config"
)

// Every example of docs/routes.md is a whole configuration without a fault.
func TestTheExamplesOfRoutesLoad(t *testing.T) {
	page, err := os.ReadFile("../../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("no example is left")
	}
	for i, block := range blocks {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "jwt.key"), "an-example-signing-key-of-32-bytes!!\n")
		writeFile(t, filepath.Join(dir, "gatehouse.yaml"), strings.ReplaceAll(block[1], "/etc/gatehouse/", dir+"/"))
		loaded, err := config.Load(config.Input{Path: filepath.Join(dir, "gatehouse.yaml")})
		if err != nil {
			t.Errorf("example %d: %v", i, err)
			continue
		}
		if len(loaded.Warnings) > 0 {
			t.Errorf("example %d: %v", i, loaded.Warnings)
		}
		if _, err := compile(loaded); err != nil {
			t.Errorf("example %d: %v", i, err)
		}
	}
}
