package route

import (
	"errors"
	"testing"
	"time"
)

func TestStreamMax(t *testing.T) {
	for _, c := range []struct {
		name        string
		route, rule StreamMax
		want        Stream
		fault       string
	}{
		{"not said", "", "", Stream{Token: true}, ""},
		{"token", "token", "", Stream{Said: true, Token: true}, ""},
		{"none", "none", "", Stream{Said: true}, ""},
		{"a time", "90m", "", Stream{Said: true, After: 90 * time.Minute}, ""},
		{"days", "7d", "", Stream{Said: true, After: 7 * 24 * time.Hour}, ""},
		{"a rule's own", "none", "token", Stream{Said: true, Token: true}, ""},
		{"another word", "session", "", Stream{}, `routes[0].stream_max: stream_max cannot be "session"; write token, none, or a time such as 1h`},
		{"a number", "30", "", Stream{}, `routes[0].stream_max: stream_max cannot be "30"; write token, none, or a time such as 1h`},
		{"nothing", "0s", "", Stream{}, `routes[0].stream_max: 0s leaves no time; write token, none, or a time such as 1h`},
		{"less than nothing", "", "-1h", Stream{}, `routes[0].rules[0].stream_max: -1h leaves no time; write token, none, or a time such as 1h`},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := New([]Config{{To: "app", StreamMax: c.route, Rules: []RuleConfig{{Path: "/x", StreamMax: c.rule}}}}, upstreams)
			if c.fault != "" {
				var fault *Fault
				if !errors.As(err, &fault) || fault.At+": "+fault.Error() != c.fault {
					t.Fatalf("got %v, want %s", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p, _ := Canonical("/x")
			m, err := table.Match("x.test", p, "GET")
			if err != nil || m.Stream() != c.want {
				t.Errorf("got %+v, %v; want %+v", m.Stream(), err, c.want)
			}
		})
	}
}
