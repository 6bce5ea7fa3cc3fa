package tokens

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"

	"gatehouse/tokens/drf"
	"gatehouse/users"
)

// Claim is one entry of `tokens.claims`: a claim that tokens have beside those that
// they need.
type Claim struct {
	// Name is the claim; required. None that tokens have already, and each name once.
	Name string `mapstructure:"name"`
	// From is what of the user its value is: user.id (a number), user.username, user.email,
	// user.first_name, user.last_name, user.groups (a list of texts), user.is_staff,
	// user.is_superuser (true or false), or user.attributes.NAME, without which the claim is
	// left out ("gatehouse user set"). Danger: whoever holds a token can read it.
	From string `mapstructure:"from"`
	// Value is a text that is the same for all users, in place of from.
	Value string `mapstructure:"value"`
}

// maxConstant is the longest Claim.Value, in characters.
const maxConstant = 1000

// claimSource is what a claim can be made of.
type claimSource struct {
	name string
	of   func(users.User) any
}

var claimSources = []claimSource{
	{"user.id", func(u users.User) any { return u.ID }},
	{"user.username", func(u users.User) any { return u.Username }},
	{"user.email", func(u users.User) any { return u.Email }},
	{"user.first_name", func(u users.User) any { return u.FirstName }},
	{"user.last_name", func(u users.User) any { return u.LastName }},
	{"user.groups", func(u users.User) any { return u.Groups }},
	{"user.is_staff", func(u users.User) any { return u.IsStaff }},
	{"user.is_superuser", func(u users.User) any { return u.IsSuperuser }},
}

func sourceOf(from string) (claimSource, bool) {
	i := slices.IndexFunc(claimSources, func(s claimSource) bool { return s.name == from })
	if i < 0 {
		return claimSource{}, false
	}
	return claimSources[i], true
}

// attributeSource begins the name of what is known of a user by a name of the site's own.
const attributeSource = "user.attributes."

// of is the value of the claim for a user. It is false where there is none.
func (c Claim) of(user users.User) (value any, there bool) {
	if c.From == "" {
		return c.Value, true
	}
	if name, ok := strings.CutPrefix(c.From, attributeSource); ok {
		value, there = user.Attributes[name]
		return value, there
	}
	source, _ := sourceOf(c.From) // Config.check has seen to it
	return source.of(user), true
}

// extra adds to the claims of a new token what tokens.claims says of its user, behind
// all others, as a get_token that was overridden does it.
func (c Config) extra(claims drf.Object, user users.User) drf.Object {
	for _, claim := range c.Claims {
		if value, there := claim.of(user); there {
			claims = append(claims, drf.Member{Name: claim.Name, Value: value})
		}
	}
	return claims
}

// errLongToken is why a login is not answered with a token that no request could carry.
var errLongToken = fmt.Errorf("the token would be longer than %d bytes, which no route takes; let tokens.claims say less of this user", maxToken)

// checkExtra returns the faults of tokens.claims.
func (c Config) checkExtra() []error {
	var faults []error
	add := func(at, problem, fix string) { faults = append(faults, &Fault{at, problem, fix}) }
	if len(c.Claims) > 0 && !c.Signs() {
		add("claims", "no key signs here, so that no token is made that could have them", "take them away, or let a key sign")
	}
	first := map[string]int{}
	for i, claim := range c.Claims {
		at := fmt.Sprintf("claims[%d].", i)
		earlier, twice := first[claim.Name]
		switch by := c.takenBy(claim.Name); {
		case claim.Name == "":
			add(at+"name", "the claim has no name", "write a word such as department")
		case !isClaimName(claim.Name):
			add(at+"name", fmt.Sprintf("%q cannot be the name of a claim", claim.Name), "write a word such as department")
		case claim.Name == "sub":
			add(at+"name", "sub says whose token it is, to everybody (RFC 7519, section 4.1.2)", "write user_id_claim: sub, or another name")
		case by != "":
			add(at+"name", fmt.Sprintf("tokens have a claim %s already (%s)", claim.Name, by), "write another name")
		case twice:
			add(at+"name", fmt.Sprintf("claims[%d] has the name %s already", earlier, claim.Name), "write another name, or take one out")
		default:
			first[claim.Name] = i
		}
		claim.check(func(field, problem, fix string) { add(at+field, problem, fix) })
	}
	return faults
}

// takenBy tells what a claim means in every token: an RFC, or the key that names it.
func (c Config) takenBy(name string) string {
	switch name {
	case "exp", "iat", "nbf", "iss", "aud", claimID:
		return "RFC 7519, section 4.1"
	case c.UserIDClaim:
		return "user_id_claim"
	case c.typeClaim():
		return "token_type_claim"
	case c.idClaim():
		return "jti_claim"
	case c.PasswordClaim:
		return "password_claim"
	case c.Sliding.RefreshExpClaim:
		return "sliding.refresh_exp_claim"
	}
	return ""
}

// check looks at where the value comes from.
func (c Claim) check(add func(field, problem, fix string)) {
	_, known := sourceOf(c.From)
	attribute, ofSite := strings.CutPrefix(c.From, attributeSource)
	switch {
	case c.From != "" && c.Value != "":
		add("value", "both from and value are written", "write one of them")
	case c.Value != "" && !utf8.ValidString(c.Value):
		add("value", "the text is not UTF-8", "write it in UTF-8")
	case utf8.RuneCountInString(c.Value) > maxConstant:
		add("value", fmt.Sprintf("the text is longer than %d characters", maxConstant), "write a shorter one: each request carries it")
	case c.Value != "":
	case c.From == "":
		add("from", "it is not said what the claim says", "write from: "+anySource()+"; or value: and a text")
	case ofSite && !users.IsAttributeName(attribute):
		add("from", fmt.Sprintf("no attribute can have the name %.120q", attribute), "write "+attributeSource+" and letters, digits, - _ and dots, such as "+attributeSource+"department")
	case ofSite:
	case !known:
		add("from", fmt.Sprintf("nothing is known as %q", c.From), "write "+cmp.Or(nearestSource(c.From), anySource()))
	}
}

func anySource() string {
	names := make([]string, 0, len(claimSources))
	for _, source := range claimSources {
		names = append(names, source.name)
	}
	return strings.Join(names, ", ") + " or " + attributeSource + "NAME"
}

// nearestSource is the source that was probably meant, or "".
func nearestSource(word string) string {
	plain := func(name string) string {
		name = strings.ToLower(name)
		if _, field, dotted := strings.Cut(name, "."); dotted {
			name = field
		}
		return strings.NewReplacer("_", "", "-", "", ".", "").Replace(name)
	}
	lower := strings.TrimPrefix(strings.ToLower(word), "user.")
	if first, name, dotted := strings.Cut(lower, "."); dotted && levenshtein.ComputeDistance(first[:min(len(first), 40)], "attributes") <= 3 && users.IsAttributeName(name) {
		return attributeSource + word[len(word)-len(name):]
	}
	word = plain(word)
	if len(word) > 40 {
		return ""
	}
	best, least := "", 1+len(word)/3
	for _, source := range claimSources {
		if d := levenshtein.ComputeDistance(word, plain(source.name)); d < least || d == 0 {
			best, least = source.name, d
		}
	}
	return best
}
