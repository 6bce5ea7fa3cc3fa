package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/cmd/gatehouse/internal/config"
)

// The first example of docs/edge.md is a whole configuration, the second a section of one.
func TestTheExamplesOfTheEdgeLoad(t *testing.T) {
	page, err := os.ReadFile("../../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("found %d examples, want 2", len(blocks))
	}
	_, rest, _ := strings.Cut(blocks[0][1], "\nstore:")
	_, dir := launchEdge(t, `listen: "127.0.0.1:0"`, "http://127.0.0.1:1") // for its certificate
	writeFile(t, filepath.Join(dir, "jwt.key"), "an-example-signing-key-of-32-bytes!!\n")
	files := strings.NewReplacer("/etc/gatehouse/tls/shop", dir+"/tls", "/etc/gatehouse/tls/", dir+"/", "/etc/gatehouse/", dir+"/")
	for i, text := range []string{blocks[0][1], blocks[1][1] + "\nstore:" + rest} {
		path := filepath.Join(dir, "example.yaml")
		writeFile(t, path, files.Replace(text))
		loaded, err := config.Load(config.Input{Path: path})
		if err != nil {
			t.Fatalf("example %d: %v", i, err)
		}
		if len(loaded.Warnings) > 0 {
			t.Errorf("example %d: %v", i, loaded.Warnings)
		}
		if _, err := compile(loaded); err != nil {
			t.Errorf("example %d: %v", i, err)
		}
	}
}
