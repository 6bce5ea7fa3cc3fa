package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"gatehouse/cmd/gatehouse/internal/config"
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

	// With the socket beside it, which needs its service to be there.
	socket, err := os.ReadFile("../../docs/deploy/systemd/gatehouse.socket")
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(unit), "gatehouse.socket")
	writeFile(t, beside, string(socket))
	if !strings.Contains(string(socket), "\nFileDescriptorName=web\n") || !strings.Contains(string(socket), `listen: "systemd:web"`) {
		t.Error("the socket does not have the name that its configuration listens for")
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit, beside).CombinedOutput()
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

// manifest is what the tests want to know of a Kubernetes object.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string // of a ConfigMap
	Spec     struct {
		PolicyTypes []string `yaml:"policyTypes"`
		Ingress     []struct {
			From  []any
			Ports []struct{ Port any }
		}
		Template struct {
			Spec struct {
				AutomountServiceAccountToken  *bool       `yaml:"automountServiceAccountToken"`
				TerminationGracePeriodSeconds int         `yaml:"terminationGracePeriodSeconds"`
				InitContainers                []container `yaml:"initContainers"`
				Containers                    []container
			}
		}
	}
}

type container struct {
	Name            string
	RestartPolicy   string `yaml:"restartPolicy"`
	StartupProbe    any    `yaml:"startupProbe"`
	LivenessProbe   any    `yaml:"livenessProbe"`
	ReadinessProbe  any    `yaml:"readinessProbe"`
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   *bool `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		MountPath string `yaml:"mountPath"`
		SubPath   string `yaml:"subPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

// manifests reads the objects of a file. That their fields are those of Kubernetes is
// checked in CI by its own types.
func manifests(t *testing.T, path string) []manifest {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []manifest
	for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var m manifest
		err := documents.Decode(&m)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, m)
	}
}

// The configurations inside of the manifests are whole, with the secrets where the
// manifests put them.
func TestTheManifestsAreWhole(t *testing.T) {
	paths, err := filepath.Glob("../../docs/deploy/kubernetes/*.yaml")
	if err != nil || len(paths) < 2 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var gateways, policies int
			var drain float64
			objects := manifests(t, path)
			for _, m := range objects {
				if text, ok := m.Data["gatehouse.yaml"]; ok {
					drain = loadsInside(t, text).Server.Drain.Delay.Seconds() + loadsInside(t, text).Server.Drain.Timeout.Seconds()
				}
			}
			for _, m := range objects {
				pod := m.Spec.Template.Spec
				for _, c := range append(pod.InitContainers, pod.Containers...) {
					if c.Name == "gatehouse" {
						gateways++
						c.check(t)
						if float64(pod.TerminationGracePeriodSeconds) <= drain {
							t.Errorf("the pod is killed after %d s, and drains for %v s", pod.TerminationGracePeriodSeconds, drain)
						}
						if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
							t.Error("the pod gets a token of the cluster, which it does not need")
						}
					}
				}
				if m.Kind == "NetworkPolicy" {
					policies++
				}
			}
			if gateways != 1 || policies == 0 {
				t.Errorf("%d gateways and %d network policies", gateways, policies)
			}
		})
	}
}

func (c container) check(t *testing.T) {
	t.Helper()
	s := c.SecurityContext
	if s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
		t.Errorf("it may do more than it needs: %+v", s)
	}
	if c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil {
		t.Error("a probe is missing")
	}
	for _, mount := range c.VolumeMounts {
		if mount.SubPath != "" || !mount.ReadOnly {
			t.Errorf("%s is mounted so that it does not change, or can be changed", mount.MountPath)
		}
	}
}

// loadsInside loads a configuration whose secrets are where a manifest puts them.
func loadsInside(t *testing.T, text string) *config.Loaded {
	t.Helper()
	dir := t.TempDir()
	key, err := stageKey()
	if err != nil {
		t.Fatal(err)
	}
	for said, secret := range map[string]string{
		"/run/secrets/gatehouse/jwt": key.PrivateKey, "/run/secrets/gatehouse/dsn": "postgres://gatehouse@postgres:5432/gatehouse?sslmode=verify-full",
		"/run/keys/jwt.pub": publicPEM(t, key.PrivateKey),
	} {
		path := filepath.Join(dir, filepath.Base(said))
		writeFile(t, path, secret)
		text = strings.ReplaceAll(text, said, path)
	}
	path := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, path, text)
	loaded, err := config.Load(config.Input{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compile(loaded); err != nil {
		t.Fatal(err)
	}
	if len(loaded.Warnings) > 0 {
		t.Error(loaded.Warnings)
	}
	return loaded
}

func publicPEM(t *testing.T, private string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(private))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.(ed25519.PrivateKey).Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
