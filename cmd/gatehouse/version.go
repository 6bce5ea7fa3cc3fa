package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Set when a release is built: -ldflags "-X main.version=1.2.3 -X main.commit=abc".
var version, commit string

func (p *program) versionCommand() *cobra.Command {
	var asJSON, sbom bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Long: `Prints which gatehouse this is. With --json also when the commit was made and how
it was built; with --sbom the list of everything that is compiled in, as
CycloneDX, for a scanner of known vulnerabilities.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			b := built()
			switch {
			case sbom:
				return p.printJSON(b.bill())
			case asJSON:
				return p.printJSON(b)
			}
			_, err := fmt.Fprintf(p.stdout, "gatehouse %s, commit %s, %s %s/%s\n", b.Version, b.Commit, b.Go, b.OS, b.Arch)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all that is known about this build")
	cmd.Flags().BoolVar(&sbom, "sbom", false, "print the bill of materials (CycloneDX 1.5, JSON)")
	cmd.MarkFlagsMutuallyExclusive("json", "sbom")
	return cmd
}

// binary is what a binary knows of itself.
type binary struct {
	Version  string            `json:"version"`
	Commit   string            `json:"commit"`
	Time     string            `json:"commit_time,omitempty"` // RFC 3339
	Modified bool              `json:"modified"`              // of files that were not committed
	Go       string            `json:"go"`
	OS       string            `json:"os"`
	Arch     string            `json:"arch"`
	Settings map[string]string `json:"settings"` // of the compiler
	modules  []*debug.Module
}

// built returns version and commit that were given to the linker, else those that
// Go noted in the binary.
func built() binary {
	b := binary{Version: version, Commit: commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Settings: map[string]string{}}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.modules = info.Deps
		if info.Main.Version != "(devel)" {
			b.Version = cmp.Or(b.Version, info.Main.Version)
		}
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs":
			case "vcs.revision":
				b.Commit = cmp.Or(b.Commit, setting.Value)
			case "vcs.time":
				b.Time = setting.Value
			case "vcs.modified":
				b.Modified = setting.Value == "true"
			case "-ldflags":
				// Long, and said above.
			default:
				b.Settings[setting.Key] = setting.Value
			}
		}
	}
	b.Version, b.Commit = cmp.Or(b.Version, "dev"), cmp.Or(b.Commit, "unknown")
	return b
}

// component is an entry of a CycloneDX bill of materials, ECMA-424.
type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref,omitempty"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
}

// bill is the bill of materials: this program, the modules in it, and Go's
// standard library. It has no time and no serial number, so that the same binary
// always says the same.
func (b binary) bill() any {
	parts := []component{goComponent("library", "stdlib", strings.TrimPrefix(b.Go, "go"))}
	for _, module := range b.modules {
		if module.Replace != nil {
			module = module.Replace
		}
		parts = append(parts, goComponent("library", module.Path, module.Version))
	}
	return struct {
		Format     string               `json:"bomFormat"`
		Spec       string               `json:"specVersion"`
		Version    int                  `json:"version"`
		Metadata   map[string]component `json:"metadata"`
		Components []component          `json:"components"`
	}{"CycloneDX", "1.5", 1, map[string]component{"component": goComponent("application", "gatehouse", b.Version)}, parts}
}

// goComponent names a Go module as package-url's type golang does.
func goComponent(kind, path, version string) component {
	purl := "pkg:golang/" + path + "@" + version
	return component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
}
