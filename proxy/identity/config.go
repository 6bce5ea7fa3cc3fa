package identity

// Config is the `identity` section: which headers tell an upstream who the user is.
type Config struct {
	// Headers maps a header's name to what it says; nil is the default four.
	Headers map[string]Source `mapstructure:"headers"`
	// AlsoStrip names more headers ("X-Remote-*": a family) that no client may send.
	AlsoStrip []string `mapstructure:"also_strip"`
	// ForwardToken hands the bearer token on to the upstream. It is then theirs to misuse.
	ForwardToken bool `mapstructure:"forward_token"`
}

// Source is where a header's value comes from: a word (user_id, username, email,
// groups) or a map naming a claim.
type Source struct {
	Word    string   `mapstructure:"-"`
	Claim   []string `mapstructure:"claim"` // steps into the claims; one string is one step
	Join    string   `mapstructure:"join"`  // between the values of a list; default ","
	Default *string  `mapstructure:"default"`
}
