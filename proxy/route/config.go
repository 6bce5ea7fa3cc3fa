package route

// Config is one entry of `routes`: a site, with the rules that are its exceptions.
type Config struct {
	Name string `mapstructure:"name"`
	// Host is one name or a list: exact ("crm.example.com"), or a wildcard
	// ("*.shop.example.com": one or more labels). Empty is any host.
	Host []string `mapstructure:"host"`
	// Path is an exact path ("/x") or a subtree ("/x/*", with /x itself). Empty is "/*".
	Path string `mapstructure:"path"`
	// To names an upstream.
	To   string `mapstructure:"to"`
	Auth Auth   `mapstructure:"auth"`
	// StripPrefix is taken off the front of the path before it is forwarded.
	StripPrefix string       `mapstructure:"strip_prefix"`
	Rules       []RuleConfig `mapstructure:"rules"`
}

// RuleConfig is one exception below a route; what it does not say it has from the route.
type RuleConfig struct {
	Path    string   `mapstructure:"path"`
	Methods []string `mapstructure:"methods"`
	Auth    Auth     `mapstructure:"auth"`
}

// Auth is who may pass, as written: a word (public, optional, required, deny) or
// a map of conditions that must all hold. The zero value is "not said": required
// on a route, the route's own on a rule.
type Auth struct {
	Word   string   `mapstructure:"-"`
	Groups []string `mapstructure:"groups"`
}
