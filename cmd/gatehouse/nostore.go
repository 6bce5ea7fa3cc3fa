package main

import (
	"context"
	"errors"

	"gatehouse/cmd/gatehouse/internal/config"
)

// opensStore tells whether the gateway of this configuration has users. Where no key
// signs nobody logs in here, and a store that is neither wanted nor written down is
// not made.
func opensStore(loaded *config.Loaded) bool {
	return loaded.Tokens.NeedsStore() || loaded.Tokens.TakesStore() && (loaded.Says("store") || loaded.Says("bootstrap"))
}

// withoutStore is what stands in the way of a gateway that has no users.
func withoutStore(loaded *config.Loaded) {
	if loaded.Bootstrap.User != "" {
		loaded.Blame("bootstrap", storeless("user", "no token is for a user of the store, so nobody could log in; take bootstrap away, or let a key sign"))
	}
}

// storeless is a key that means nothing without a store.
func storeless(key, text string) error { return &storelessFault{key, text} }

type storelessFault struct{ key, text string }

func (f *storelessFault) Field() string { return f.key }
func (f *storelessFault) Error() string { return f.text }

// refuseStoreless is the answer of commands about users where there are none. What
// stands in the way of the rest of the configuration is not theirs to tell.
func (p *program) refuseStoreless() error {
	loaded, _ := p.load(nil)
	if loaded == nil || !loaded.Says("tokens") || loaded.Says("store") || opensStore(loaded) {
		return nil
	}
	return failed(errors.New("this gateway has no users: no key of tokens signs, so that others make the tokens and say who their users are"),
		"write store: { dsn: … } if the tokens are for users that are known here too")
}

// unwell tells what does not work as it should, and is no reason to send requests
// elsewhere: it would be the same there.
func (s *server) unwell() (issuers map[string]string, keyDir string) {
	if g := s.current.Load(); g != nil {
		return g.authority.Unwell(), g.authority.KeyTrouble()
	}
	return nil, ""
}

// condition tells whether the store answers; without one there is nothing to ask.
func (s *server) condition(ctx context.Context) (serving bool, err error) {
	if s.store == nil {
		return true, nil
	}
	return s.store.Condition(ctx)
}
