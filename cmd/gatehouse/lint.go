package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/users"
)

// lint adds to the warnings of a configuration without fault what needs more than the
// file to be seen: the compiled table, the store, the files on the disk. Without an open
// store the database is looked into, if there is one, and not touched. The error
// says what could not be looked at, which is no fault of the configuration.
func lint(ctx context.Context, loaded *config.Loaded, g *generation, store *users.Store) error {
	loaded.Warn("", g.gateway.Lint(loaded.Config))
	loaded.Warn("", lintClaims(loaded))
	for _, secret := range loaded.Secrets {
		if mode, ok := worldReadable(secret.Path); ok {
			loaded.Warn("", tooReadable(secret.Key, secret.Path, mode))
		}
	}
	if !opensStore(loaded) {
		return nil
	}
	// An open store has told of its files itself.
	if store == nil && loaded.Store.Driver != "postgres" {
		for _, suffix := range []string{"", "-wal"} {
			if mode, ok := worldReadable(loaded.Store.DSN + suffix); ok {
				loaded.Warn("", tooReadable("store.dsn", loaded.Store.DSN+suffix, mode))
			}
		}
	}
	return lintGroups(ctx, loaded, store)
}

// concern is what is seldom meant, at a key.
type concern struct{ at, text string }

func (c *concern) Field() string { return c.at }
func (c *concern) Error() string { return c.text }

func tooReadable(key, path string, mode fs.FileMode) error {
	return &concern{key, fmt.Sprintf("everybody on this machine may read %s (mode %#o); run chmod o= %s", path, mode.Perm(), path)}
}

// managedPlaces hold files whose mode is the choice of who mounts them, for this
// program alone.
var managedPlaces = []string{"/run/secrets/", "/var/run/secrets/"}

// worldReadable tells whether other users of this machine can read a file: it and all
// directories above let them.
func worldReadable(path string) (mode fs.FileMode, ok bool) {
	if os.Getpid() == 1 { // in a container, where there is nobody else
		return 0, false
	}
	path, err := filepath.Abs(path)
	if err != nil || slices.ContainsFunc(managedPlaces, func(place string) bool { return strings.HasPrefix(path, place) }) {
		return 0, false
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return 0, false
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o004 == 0 {
		return 0, false
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		above, err := os.Stat(dir)
		if err != nil || above.Mode().Perm()&0o001 == 0 {
			return 0, false
		}
		if dir == filepath.Dir(dir) {
			return info.Mode(), true
		}
	}
}

// lintClaims finds headers whose claim no token has.
func lintClaims(loaded *config.Loaded) error {
	var found []error
	for _, name := range slices.Sorted(maps.Keys(loaded.Identity.Headers)) {
		if path := loaded.Identity.Headers[name].Claim; len(path) > 0 && !loaded.Tokens.MayHave(path[0]) {
			found = append(found, &concern{
				"identity.headers." + name + ".claim",
				fmt.Sprintf("the tokens that are made here have no claim %q, so that no upstream is told; write it into tokens.claims", path[0]),
			})
		}
	}
	return errors.Join(found...)
}

// lintTime is how long the database may take to say which groups there are.
const lintTime = 5 * time.Second

// lintGroups finds groups in auth that nobody is in. Where tokens of others bring groups it
// cannot be known, and where there is no user yet it is no wonder.
func lintGroups(ctx context.Context, loaded *config.Loaded, store *users.Store) error {
	said := groupsSaid(loaded)
	if len(said) == 0 || loaded.Tokens.BringsGroups() {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, lintTime)
	defer stop()
	var there users.Membership
	var err error
	if store != nil {
		there, err = store.Membership(ctx)
	} else {
		there, err = users.MembershipIn(ctx, loaded.Store)
	}
	switch {
	case errors.Is(err, users.ErrNotFound) || err == nil && there.Nobody:
		return nil
	case err != nil:
		return fmt.Errorf("the groups in auth were not compared with those of the users: %w", err)
	}
	var found []error
	for _, key := range slices.Sorted(maps.Keys(said)) {
		if group := said[key]; !slices.Contains(there.Groups, group) {
			found = append(found, &concern{key, fmt.Sprintf("no user is in the group %q, so that it lets nobody pass; %s", group, likeGroup(group, there.Groups))})
		}
	}
	loaded.Warn("", errors.Join(found...))
	return nil
}

// groupsSaid are the groups that routes name, by key.
func groupsSaid(loaded *config.Loaded) map[string]string {
	said := map[string]string{}
	note := func(at string, groups []string) {
		for i, group := range groups {
			said[config.Item(at+".auth.groups", i)] = group
		}
	}
	for i, route := range loaded.Routes {
		at := config.Item("routes", i)
		note(at, route.Auth.Groups)
		for j, rule := range route.Rules {
			note(config.Item(at+".rules", j), rule.Auth.Groups)
		}
	}
	return said
}

// likeGroup says what may have been meant: the same word in other letters is not the
// same group.
func likeGroup(group string, there []string) string {
	for _, other := range there {
		if strings.EqualFold(group, other) {
			return fmt.Sprintf("letter case matters: write %q", other)
		}
	}
	return "put somebody in (gatehouse user set NAME --group …), or correct the name"
}
