package route

import (
	"errors"
	"fmt"

	"gatehouse/users/rate"
)

// RateLimit bounds how often one client may ask, as written: a map, or the word none.
// The zero value is "not said": none on a route, the route's own on a rule.
type RateLimit struct {
	// Word is none.
	Word string `mapstructure:"-"`
	// By is whose requests are counted together: user, or network. An IPv4 address is a
	// network, and so is an IPv6 /64. Who passes without a good token counts by network
	// either way. Required.
	By string `mapstructure:"by" words:"user network"`
	// Rate is how many requests in which time: "100/1m". They are given back one by one,
	// here each 600ms. Required.
	Rate Rate `mapstructure:"rate"`
	// Burst is how many may come at once. Default: the number in rate.
	Burst int `mapstructure:"burst"`
}

// UnmarshalText takes the word. Which words there are is checked by New.
func (l *RateLimit) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("rate_limit is empty; write " + limitWords)
	}
	*l = RateLimit{Word: string(text)}
	return nil
}

// Words are those that stand for a whole RateLimit.
func (RateLimit) Words() []string { return []string{"none"} }

const limitWords = "{by: network, rate: 100/1m}, or none on a rule"

// Rate is a number of requests in a time. The zero value is not said.
type Rate = rate.Rate

// Limit is a compiled RateLimit. A route and the rules that inherit from it have the
// same one, and so one budget.
type Limit struct {
	ByUser bool
	Rate   Rate
	Burst  int
}

// String is the limit in the words of the file.
func (l *Limit) String() string {
	by := "network"
	if l.ByUser {
		by = "user"
	}
	text := l.Rate.String() + " by " + by
	if l.Burst != l.Rate.N {
		text += fmt.Sprintf(", burst %d", l.Burst)
	}
	return text
}

// Limit is how often one client may ask for what was matched; nil is without end.
func (m Match) Limit() *Limit {
	switch {
	case m.Rule != nil:
		return m.Rule.limit
	case m.Route != nil:
		return m.Route.limit
	}
	return nil
}

// LimitID tells the budget of what was matched from all others, and is the same in
// another table in which the same limit is for the same requests.
func (m Match) LimitID() string {
	limit := m.Limit()
	if limit == nil {
		return ""
	}
	id := fmt.Sprintf("%q %q %v", m.Route.Hosts, m.Route.Path, *limit)
	if m.Rule != nil && m.Route.limit != limit {
		id += fmt.Sprintf(" %q %q", m.Rule.Path, m.Rule.Methods)
	}
	return id
}

// compile checks l, and takes what is inherited if it says nothing.
func (l RateLimit) compile(at string, inherited *Limit, f *faults) *Limit {
	before := len(*f)
	at += ".rate_limit"
	switch {
	case l == RateLimit{}:
		return inherited
	case l.Word == "none":
		return nil
	case l.Word != "":
		f.add(at, fmt.Sprintf("rate_limit cannot be %q", l.Word), "write "+limitWords)
		return nil
	}
	if l.By != "user" && l.By != "network" {
		f.add(at+".by", fmt.Sprintf("requests cannot be counted by %q", l.By), "write user or network")
	}
	if l.Rate == (Rate{}) {
		f.add(at+".rate", "it is not said how many requests", "write a number, a slash and a time: 100/1m")
	}
	if l.Burst < 0 || l.Burst > rate.MaxN {
		f.add(at+".burst", fmt.Sprintf("%d is no number of requests", l.Burst), "write one up to a million, or leave it out for that of rate")
	}
	if len(*f) > before {
		return nil
	}
	limit := &Limit{ByUser: l.By == "user", Rate: l.Rate, Burst: l.Burst}
	if limit.Burst == 0 {
		limit.Burst = l.Rate.N
	}
	return limit
}
