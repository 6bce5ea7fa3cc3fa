package proxy

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens"
)

// docs/operations.md explains each field of the access log, and none that is not there.
func TestFieldsOfTheAccessLogAreDocumented(t *testing.T) {
	up, err := upstream.New("app", upstream.Config{URL: "http://127.0.0.1:1"}, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	var line bytes.Buffer
	g := &Gateway{logger: slog.New(slog.NewJSONHandler(&line, nil)), logged: []logged{{name: "User-Agent"}}}
	in := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", http.NoBody)
	in.Header.Set("User-Agent", "curl")
	in.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	everything := Decision{
		Match:     route.Match{Route: &route.Route{}, Rule: &route.Rule{}},
		Principal: &tokens.Principal{}, Reported: refuseForbidden, Ignored: "token_expired", upstream: up, upstreamTook: time.Second,
	}
	out := new(recorder)
	out.begin(httptest.NewRecorder(), in, 0)
	out.ended = "idle"
	g.logAccess(in, &everything, outcome{decisionRefused, "forbidden"}, out, time.Now(), time.Second)
	var fields map[string]any
	if err := json.Unmarshal(line.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "msg")
	inLog := slices.Sorted(maps.Keys(fields))

	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| field | meaning |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var inPage []string
	for row := range strings.Lines(table) {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(first, -1) {
			inPage = append(inPage, name[1])
		}
	}
	slices.Sort(inPage)
	if !slices.Equal(inLog, inPage) {
		t.Errorf("the log has   %q\nthe page has %q", inLog, inPage)
	}
}

// Each reason for a refusal is explained too.
func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| `reason` | status |")
	table, _, _ = strings.Cut(table, "\n\n")
	explained := map[string]bool{}
	var families []string
	for _, name := range regexp.MustCompile("`([a-z_]+)(…?)`").FindAllStringSubmatch(table, -1) {
		if name[2] != "" {
			families = append(families, name[1])
		}
		explained[name[1]] = true
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`(?:refusal\([^,]+, |Reason:\s+)"([a-z_]+)"`)
	found := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, reason := range made.FindAllStringSubmatch(string(text), -1) {
			found++
			if !explained[reason[1]] && !slices.ContainsFunc(families, func(f string) bool { return strings.HasPrefix(reason[1], f) }) {
				t.Errorf("docs/operations.md does not explain the reason %s of %s", reason[1], file.Name())
			}
		}
	}
	for failure := range failures {
		if !explained[string(failure)] {
			t.Errorf("docs/operations.md does not explain upstream_%s", failure)
		}
	}
	if found < 25 {
		t.Errorf("found %d reasons", found)
	}
}
