package config

// Test is one entry of `tests`: a request, and what must become of it. `gatehouse
// check` decides about each by the gateway's own code, without any network and without
// the store.
type Test struct {
	// Request is a method and a URL: GET https://crm.example.com/admin/
	Request string `mapstructure:"request"`
	// As is who asks. Default: nobody, without a token.
	As *As `mapstructure:"as"`
	// Headers are further headers of the request, each as "Name: value".
	Headers []string `mapstructure:"headers"`
	// From is the address of the client. Default: 192.0.2.1, which is nobody's.
	From string `mapstructure:"from"`
	// Expect is what must become of it: upstream (it is forwarded), 200 (forwarded, or
	// answered by gatehouse itself), or the status with which it is refused, such as 401,
	// 403 or 404.
	Expect string `mapstructure:"expect"`
	// To is the name of the upstream that must get it. Default: any.
	To string `mapstructure:"to"`
	// Target is the path and query that the upstream must be asked for, byte for byte.
	// Default: any.
	Target string `mapstructure:"target"`
}

// As is who asks in a Test: an active user with a valid token, who exists in the test
// alone.
type As struct {
	// User is the name; default "somebody".
	User string `mapstructure:"user"`
	// Email is the address; default none.
	Email string `mapstructure:"email"`
	// Groups are those that the user is in; default none.
	Groups []string `mapstructure:"groups"`
	// Claims are further claims of the token, or others than tokens.claims would say.
	Claims []AsClaim `mapstructure:"claims"`
}

// AsClaim is one claim of the token in a Test.
type AsClaim struct {
	// Name is the name of the claim, as it stands in the token.
	Name string `mapstructure:"name"`
	// Value is its value, as text.
	Value string `mapstructure:"value"`
	// Values are its values where it is a list.
	Values []string `mapstructure:"values"`
}
