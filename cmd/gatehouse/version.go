package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set when a release is built: -ldflags "-X main.version=1.2.3 -X main.commit=abc".
var version, commit string

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			v, c := identify()
			_, err := fmt.Fprintf(p.stdout, "gatehouse %s, commit %s, %s %s/%s\n", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// identify returns version and commit: those given to the linker, else those
// that Go noted in the binary.
func identify() (ver, rev string) {
	ver, rev = version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "(devel)" {
			ver = cmp.Or(ver, info.Main.Version)
		}
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				rev = cmp.Or(rev, setting.Value)
			}
		}
	}
	return cmp.Or(ver, "dev"), cmp.Or(rev, "unknown")
}
