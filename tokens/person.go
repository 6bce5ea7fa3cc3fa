package tokens

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// The words of Config.User and TrustedIssuer.User.
const (
	userFromStore = "store"
	userFromToken = "token"
)

// Signs tells whether a key of the configuration signs, as far as that can be told
// without reading one.
func (c Config) Signs() bool {
	return c.KeyDir != "" || slices.ContainsFunc(c.Keys, func(k keys.Config) bool {
		return k.Use == "sign" || k.Use == "" && k.PublicKey == "" && k.PublicKeyFile == ""
	})
}

// LongestLife is for how long a token may be good that is signed now. Sliding tokens
// are signed anew each time, and so count with what one lives.
func (c Config) LongestLife() time.Duration {
	longest := max(c.AccessLifetime, c.RefreshLifetime)
	if c.Sliding.Enabled {
		longest = max(longest, c.Sliding.Lifetime)
	}
	return longest + c.Leeway
}

// NeedsStore tells whether the tokens are for users of a store, so that New wants one.
func (c Config) NeedsStore() bool {
	return c.Signs() || c.User == userFromStore ||
		slices.ContainsFunc(c.TrustedIssuers, func(t TrustedIssuer) bool { return t.User == userFromStore })
}

// TakesStore tells whether a store would be asked for users if there were one.
func (c Config) TakesStore() bool { return c.NeedsStore() || c.User == "" && len(c.Keys) > 0 }

func (c Config) checkUser() []error {
	var faults []error
	add := func(at, problem, fix string) { faults = append(faults, &Fault{at, problem, fix}) }
	for i, k := range c.Keys {
		if c.KeyDir != "" && k.Use != "verify" && k.PublicKey == "" {
			add(fmt.Sprintf("keys[%d].use", i), "the key that signs is in key_dir", "write use: verify")
		}
	}
	switch {
	case c.User != "" && c.User != userFromStore && c.User != userFromToken:
		add("user", fmt.Sprintf("%q says nothing about users", c.User), "write store or token")
	case c.User == userFromToken && c.Signs():
		add("user", "tokens that are issued here are for users of the store", "take it away; or let no key sign (use: verify)")
	case c.User == userFromToken && c.CheckPasswordChange:
		add("check_password_change", "only users of the store have a password", "take it away, or write user: store")
	}
	for _, claim := range []struct {
		at   string
		path []string
	}{{"username_claim", c.UsernameClaim}, {"email_claim", c.EmailClaim}, {"groups_claim", c.GroupsClaim}} {
		switch {
		case slices.Contains(claim.path, ""):
			add(claim.at, "a step of the claim is empty", "write its name, or the names on the way to it as a list")
		case claim.path != nil && (c.Signs() || c.User == userFromStore):
			add(claim.at, "the store says this of its users, and no token", "take it away, or write user: token, for which no key may sign")
		}
	}
	return faults
}

// mapping says where a token has what is known of its user. Each is the steps to a
// claim; none is nothing, and of the name, the id.
type mapping struct {
	id, username, email, groups []string
	prefix                      string // before the id and the name
}

func (c Config) mapping() mapping {
	return mapping{id: []string{c.UserIDClaim}, username: c.UsernameClaim, email: c.EmailClaim, groups: c.GroupsClaim}
}

// named makes the principal of a token whose user nobody here remembers.
func (v *Verifier) named(claims drf.Object) (*Principal, error) {
	id, user, ok := v.names.user(claims)
	if !ok {
		return nil, v.reject("no_user_claim", "Token contained no recognizable user identification", codeInvalid)
	}
	return &Principal{UserID: id, User: user, Claims: claims, TokenID: v.idOf(claims), Expires: expiry(claims)}, nil
}

// user is whom the claims name. It is false for claims that name nobody.
func (m mapping) user(claims drf.Object) (id string, user users.User, ok bool) {
	value, _ := claimAt(claims, m.id)
	if id, ok = nameOf(value); !ok {
		return "", user, false
	}
	user = users.User{Username: id, IsActive: true}
	if len(m.username) > 0 {
		// A name that is missing or no text is not replaced by another one, which
		// could be somebody's.
		value, _ := claimAt(claims, m.username)
		if user.Username, ok = nameOf(value); !ok {
			user.Username = ""
		}
	}
	if user.Username != "" {
		user.Username = m.prefix + user.Username
	}
	if value, there := claimAt(claims, m.email); there {
		user.Email, _ = value.(string)
	}
	if value, there := claimAt(claims, m.groups); there {
		user.Groups = groupsOf(value)
	}
	return m.prefix + id, user, true
}

// maxName is the longest id of a user in bytes; `sub` has 255 at most (OpenID Connect
// Core, section 2).
const maxName = 1 << 10

// nameOf reads what names a user: a text, or a whole number.
func nameOf(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, value != "" && len(value) <= maxName && utf8.ValidString(value)
	case drf.Number:
		if !value.IsInt() {
			return "", false
		}
		name := value.Text()
		return name, len(name) <= maxName
	}
	return "", false
}

// groupsOf reads a list of texts, or one text. A list with anything else in it names
// no group: who wrote it means something that is not understood here.
func groupsOf(value any) []string {
	switch value := value.(type) {
	case string:
		if value != "" {
			return []string{value}
		}
	case []any:
		groups := make([]string, 0, len(value))
		for _, one := range value {
			name, ok := one.(string)
			if !ok {
				return nil
			}
			groups = append(groups, name)
		}
		return groups
	}
	return nil
}

// claimAt follows steps into nested claims. No steps lead nowhere.
func claimAt(claims drf.Object, steps []string) (any, bool) {
	if len(steps) == 0 {
		return nil, false
	}
	var value any = claims
	for _, step := range steps {
		object, ok := value.(drf.Object)
		if !ok {
			return nil, false
		}
		if value, ok = object.Get(step); !ok {
			return nil, false
		}
	}
	return value, true
}
