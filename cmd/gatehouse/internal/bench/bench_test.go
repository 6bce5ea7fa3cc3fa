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

// Floods of a tenth of their size: what somebody else asks is answered right beside each,
// and memory, goroutines and files stay within bounds and come back; the command fails
// where they do not. The latencies of a run as short as this one are printed and mean little.
func TestFloods(t *testing.T) {
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "" {
		t.Skip("takes half a minute; set GATEHOUSE_TEST_REQUIRE=1 to run it")
	}
	var out strings.Builder
	err := run(t.Context(), strings.Split("-only floods -rounds 1 -slice 500ms -smaller 10 -without haproxy,nginx,caddy", " "), &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	for _, a := range attacks {
		if !strings.Contains(out.String(), "| "+a.name+" | ") {
			t.Errorf("%s is missing", a.name)
		}
	}
}

func TestSessionsAreMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts the gateway")
	}
	var out strings.Builder
	if err := run(t.Context(), strings.Split("-only sessions -rounds 1 -slice 200ms -without haproxy,nginx,caddy", " "), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" hashes in a second alone, ", "| gatehouse | "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
