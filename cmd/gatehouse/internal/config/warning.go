package config

import (
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Warn adds what a room found that is allowed and seldom meant: the errors in the tree of
// err that have a Field, as with [Loaded.Blame].
func (l *Loaded) Warn(section string, err error) {
	faults := l.faults
	l.faults = nil
	l.Blame(section, err)
	l.Warnings = inOrder(append(l.Warnings, l.faults...))
	l.faults = faults
}

// Said is a value that is read from a file of its own.
type Said struct {
	Key  string // that names the file
	Path string
}

// warn finds what is allowed and seldom meant.
func (l *Loaded) warn(now time.Time) {
	led := map[string]bool{}
	for _, route := range l.Routes {
		led[strings.ToLower(route.To)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(l.Upstreams)) {
		if !led[strings.ToLower(name)] {
			l.Warnings = append(l.Warnings, l.at(join("upstreams", name), "no route leads here; add one with `to: "+show(name)+"`, or delete it"))
		}
	}
	for i, route := range l.Routes {
		l.warnReport(Item("routes", i), route.Mode)
		for j, rule := range route.Rules {
			l.warnReport(Item(Item("routes", i)+".rules", j), rule.Mode)
		}
	}
	for _, w := range l.Tokens.Warnings(now) {
		l.Warnings = append(l.Warnings, l.at(join("tokens", w.At), w.Text))
	}
	l.Warnings = inOrder(l.Warnings)
	if len(l.Routes) == 0 {
		l.Warnings = append(l.Warnings, l.at("routes", "there is no route, so that every request is answered 404; write routes: [{ to: NAME }], with NAME one of upstreams"))
	}
	info, err := os.Stat(l.Path)
	if err != nil || info.Mode().Perm()&0o004 == 0 {
		return
	}
	for i, key := range l.Tokens.Keys {
		for name, value := range map[string]string{"secret": key.Secret, "private_key": key.PrivateKey} {
			at := Item("tokens.keys", i) + "." + name
			if value != "" && l.layerOf(at) == 1 {
				l.Warnings = append(l.Warnings, l.at(at, "everybody on this machine may read this file; use "+name+"_file, or run chmod 0640 "+show(l.Path)))
			}
		}
	}
	l.Warnings = inOrder(l.Warnings)
}

// warnReport tells what is easily forgotten when everything seems to work.
func (l *Loaded) warnReport(at, mode string) {
	if mode != "report" {
		return
	}
	text := "everybody passes here, but for auth: deny, and is only counted; write enforce once the log has no more reported="
	if !l.Identity.ForwardToken {
		text += "; and the backend no longer gets the token: if it still checks it, set identity.forward_token"
	}
	l.Warnings = append(l.Warnings, l.at(join(at, "mode"), text))
}
