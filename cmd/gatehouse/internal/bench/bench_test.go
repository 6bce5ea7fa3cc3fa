package main

import (
	"os"
	"strings"
	"testing"
)

// The program starts itself as the backend and as the bare proxy; so does its test.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && strings.HasPrefix(os.Args[1], "be-") {
		main()
		return
	}
	m.Run()
}

// The figures of a run as short as this one mean nothing. That it starts everything,
// proves that bad tokens are refused, and counts, is what is tested.
func TestItMeasures(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts the gateway")
	}
	var out strings.Builder
	err := run(t.Context(), strings.Split("-rounds 1 -slice 200ms -tokens HS256,EdDSA -only proxied,refused,latency,start -without haproxy,nginx,caddy", " "), &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| HS256, one token | ", "| EdDSA, 10000 tokens | ", "| expired | – | ", "| gatehouse | ", "First answer through gatehouse "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestWhatItIsAskedForExists(t *testing.T) {
	for _, line := range []string{"-only proxyed", "-tokens HS257", "-also x", "more"} {
		if err := run(t.Context(), strings.Split(line, " "), &strings.Builder{}); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}
