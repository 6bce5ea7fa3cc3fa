package wire

import (
	"strings"
	"testing"
)

// Whatever byte stands wherever in a value, it is what net/http says of it.
func TestValuesOfHeaders(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				value := strings.Repeat("x", at) + string([]byte{byte(c)}) + strings.Repeat("~", length-at-1)
				want := c == '\t' || c >= ' ' && c != 0x7f
				if isValue(value) != want {
					t.Fatalf("%q: %v", value, !want)
				}
			}
		}
	}
	if !isValue("") || !isValue(strings.Repeat("a b\tc", 100)) || isValue(strings.Repeat("abcdefgh", 9)+"\n") {
		t.Error("the long and the short")
	}
}

func BenchmarkValue(b *testing.B) {
	value := "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	for b.Loop() {
		isValue(value)
	}
}
