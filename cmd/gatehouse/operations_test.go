package main

import (
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/cmd/gatehouse/internal/tracing"
	"gatehouse/users/password"
)

// metricNames are all that this program can tell, histograms by their name alone.
func metricNames(t *testing.T) []string {
	t.Helper()
	hasher, err := password.New(password.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics(&server{logger: slog.New(slog.DiscardHandler)}, hasher)
	spans := tracing.DefaultConfig()
	spans.Endpoint = "http://127.0.0.1:1"
	sending, err := tracing.New(spans, tracing.Parts{Registry: m.registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sending.Close(t.Context()) })
	described := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(described)
	close(described)
	var names []string
	for desc := range described {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(desc.String())[1]
		if strings.HasPrefix(name, "gatehouse_") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Each metric is explained, and nothing is explained that is none; rules and dashboard ask
// for nothing else.
func TestMetricsAreDocumented(t *testing.T) {
	known := metricNames(t)
	if len(known) < 8 {
		t.Fatalf("found only %q", known)
	}
	named := regexp.MustCompile(`gatehouse_[a-z_]+[a-z]`)
	for _, path := range []string{"../../docs/operations.md", "../../docs/monitoring/alerts.yaml", "../../docs/monitoring/dashboard.json"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				if base := strings.TrimSuffix(name, suffix); slices.Contains(known, base) {
					name = base
				}
			}
			if !slices.Contains(known, name) {
				t.Errorf("%s names %s, which is no metric", path, name)
			}
		}
		if strings.HasSuffix(path, ".md") {
			for _, name := range known {
				if !strings.Contains(string(text), "`"+name+"`") {
					t.Errorf("%s does not explain %s", path, name)
				}
			}
		}
	}
}

// Whoever looks for a line of the log in the document must find it as the program
// writes it.
func TestExplainedLogLinesExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "\n| `msg` |")
	if !found {
		t.Fatal("there is no table of log lines")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	var source strings.Builder
	for _, room := range []string{".", "../../proxy", "../../tokens", "../../users"} {
		err := filepath.WalkDir(room, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	lines := 0
	for row := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			lines++
			if !strings.Contains(source.String(), `"`+message[1]+`"`) {
				t.Errorf("docs/operations.md explains %q, which nothing logs", message[1])
			}
		}
	}
	if lines < 15 {
		t.Errorf("only %d lines are explained", lines)
	}
}

// The rules are such as Prometheus takes, and fire when they should; each tells what
// to do.
func TestAlertsFire(t *testing.T) {
	promtool := needProgram(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "../../docs/monitoring"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	rules, err := os.ReadFile("../../docs/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile("../../docs/monitoring/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !regexp.MustCompile(`alertname: ` + name[1] + `\s+exp_alerts:\n`).Match(cases) {
			t.Errorf("%s is told in no case of alerts_test.yaml", name[1])
		}
		if !strings.Contains(string(page), "\n### "+name[1]+"\n") || !strings.Contains(string(rules), "#"+strings.ToLower(name[1])+"\n") {
			t.Errorf("%s has no section of its own in docs/operations.md, or does not name it", name[1])
		}
	}
}

// What is scraped is what promtool finds well named and explained.
func TestMetricsAreWellFormed(t *testing.T) {
	promtool := needProgram(t, "promtool")
	hasher, err := password.New(password.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	newMetrics(&server{}, hasher).handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(answer.Body.String())
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "gatehouse_") || err != nil {
			t.Error(line)
		}
	}
}

// The dashboard is JSON with a query in each panel.
func TestTheDashboardIsWhole(t *testing.T) {
	text, err := os.ReadFile("../../docs/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, panel := range board.Panels {
		if panel.Title == "" || len(panel.Targets) == 0 || panel.Targets[0].Expr == "" {
			t.Errorf("a panel is empty: %+v", panel)
		}
	}
	if len(board.Panels) < 6 {
		t.Errorf("%d panels", len(board.Panels))
	}
}
