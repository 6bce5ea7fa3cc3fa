package identity

import "errors"

// Config is the `identity` section: which headers tell an upstream who the user is.
// No client can send them, nor X-Forwarded-*, Forwarded, X-Real-IP, X-Original-*,
// X-Rewrite-*, Proxy, Script-Name, Path-Info and the names under which others tell an
// address or a scheme (Client-IP, X-Client-IP, True-Client-IP, CF-Connecting-IP,
// Front-End-Https, ...), in any spelling.
type Config struct {
	// Headers maps a header's name to what it says: user_id, username, email, groups,
	// or a claim of the token. Names have dashes, no underscores. Default: X-User-Id,
	// X-User-Name, X-User-Email and X-User-Groups; {} sends none. No client can send these
	// four, whatever stands here.
	Headers map[string]Source `mapstructure:"headers"`
	// AlsoStrip names more headers that no client may send, because a backend believes
	// them: "X-Remote-User", or "X-Remote-*" for X-Remote and all that begin so. Default: none.
	AlsoStrip []string `mapstructure:"also_strip"`
	// ForwardToken hands the client's bearer token on to the upstreams. Whoever reads
	// their logs or breaks into one can then act as the user. Default: false.
	ForwardToken bool `mapstructure:"forward_token"`
}

// Source is where a header's value comes from: a word, or a map with from or claim.
type Source struct {
	// Word is user_id, username, email or groups.
	Word string `mapstructure:"from"`
	// Claim is a claim of the token: one name, or a list of steps into nested objects.
	Claim []string `mapstructure:"claim"`
	// Join stands between the values of a list: one to four punctuation characters or
	// spaces, not %. Default: ",".
	Join string `mapstructure:"join"`
	// Default is sent for a user who has no such value; printable ASCII, may be
	// empty. Default: the header is left out.
	Default *string `mapstructure:"default"`
}

// Words are those that may stand in place of the map.
func (Source) Words() []string { return []string{"user_id", "username", "email", "groups"} }

// UnmarshalText takes the word. Which words there are is checked by New.
func (s *Source) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the source is empty; write " + words)
	}
	*s = Source{Word: string(text)}
	return nil
}
