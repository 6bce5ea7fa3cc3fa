package route

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/users/rate"
)

// StreamMax is how long a stream may last, as written: token, none, or a duration.
// The zero value is "not said": the route's on a rule, token on a route.
type StreamMax string

// Stream is how long a stream may last. The zero value is the default: until the
// token ends, for what is a stream by its nature.
type Stream struct {
	// Said: the configuration says it, so that it holds for every answer.
	Said bool
	// Token: it ends with the token of its user.
	Token bool
	// After is when it ends in any case; 0 is never.
	After time.Duration
}

// String is how one would write it.
func (s Stream) String() string {
	switch {
	case s.Token:
		return "token"
	case s.After > 0:
		return rate.Duration(s.After)
	}
	return "none"
}

// Stream is how long a stream may last.
func (m Match) Stream() Stream {
	switch {
	case m.Rule != nil:
		return m.Rule.stream
	case m.Route != nil:
		return m.Route.stream
	}
	return Stream{Token: true}
}

func (s StreamMax) compile(at string, inherited Stream, f *faults) Stream {
	const fix = "write token, none, or a time such as 1h"
	switch s {
	case "":
		return inherited
	case "token":
		return Stream{Said: true, Token: true}
	case "none":
		return Stream{Said: true}
	}
	text := string(s)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n < 100_000 {
			text = strconv.Itoa(24*n) + "h"
		}
	}
	after, err := time.ParseDuration(text)
	switch {
	case err != nil:
		f.add(at+".stream_max", fmt.Sprintf("stream_max cannot be %q", string(s)), fix)
	case after <= 0:
		f.add(at+".stream_max", fmt.Sprintf("%s leaves no time", string(s)), fix)
	}
	return Stream{Said: true, After: after}
}
