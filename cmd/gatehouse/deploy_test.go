package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The unit is one that systemd understands in every line, and its sandbox is tight
// by systemd's own judgement (0 is the best, 10 no sandbox at all).
func TestTheUnitIsASandbox(t *testing.T) {
	needProgram(t, "systemd-analyze")
	text, err := os.ReadFile("../../docs/deploy/systemd/gatehouse.service")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "gatehouse.service")
	writeFile(t, unit, strings.ReplaceAll(string(text), "/usr/local/bin/gatehouse", program))

	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}

	out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	overall := regexp.MustCompile(`Overall exposure level for gatehouse.service: ([0-9.]+)`).FindSubmatch(out)
	if overall == nil {
		t.Fatalf("no judgement in\n%s", out)
	}
	if level, err := strconv.ParseFloat(string(overall[1]), 64); err != nil || level > 2 {
		t.Errorf("exposure %s, want at most 2\n%s", overall[1], out)
	}
}
