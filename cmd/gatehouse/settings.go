package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"gatehouse/cmd/gatehouse/internal/config"
)

// configPlaces are looked into when nobody names a file.
var configPlaces = []string{"gatehouse.yaml", "/etc/gatehouse/gatehouse.yaml"}

// findConfig returns the file to read, or "" where there is none and the environment
// says everything.
func (p *program) findConfig() (string, error) {
	if p.config != "" {
		return p.config, nil
	}
	for _, assignment := range p.environ {
		if path, ok := strings.CutPrefix(assignment, "GATEHOUSE_CONFIG="); ok && path != "" {
			return path, nil
		}
	}
	for _, path := range configPlaces {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	if config.Bare(p.environ) {
		return "", nil // the environment says everything
	}
	return "", usage("name one with --config FILE, or try `gatehouse demo`, which needs none",
		"there is no configuration: neither %s exists", strings.Join(configPlaces, " nor "))
}

// load reads the configuration. The result is there for faults too, so that more
// can be found; see config.Load.
func (p *program) load(flags map[string]config.Flag, only ...string) (*config.Loaded, error) {
	path, err := p.findConfig()
	if err != nil {
		return nil, err
	}
	loaded, err := config.Load(config.Input{Path: path, Environ: p.environ, Flags: flags, Only: only})
	if err != nil && loaded == nil {
		return nil, &failure{err: err, hint: "name another file with --config FILE", code: exitUsage}
	}
	return loaded, err
}

// warn prints what is allowed and seldom meant.
func (p *program) warn(loaded *config.Loaded) {
	for _, warning := range loaded.Warnings {
		fmt.Fprintln(p.stderr, "warning:", warning)
	}
}
