package rate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of events in a time. The zero value is not said.
type Rate struct {
	N  int
	In time.Duration
}

// MaxN is the largest number in a Rate.
const MaxN = 1_000_000

// UnmarshalText reads "100/1m", "5/s" and "1000/24h".
func (r *Rate) UnmarshalText(text []byte) error {
	number, in, ok := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(number)
	if in != "" && (in[0] < '0' || in[0] > '9') {
		in = "1" + in
	}
	if days, isDays := strings.CutSuffix(in, "d"); isDays {
		if d, err := strconv.Atoi(days); err == nil && d <= 366 {
			in = strconv.Itoa(24*d) + "h"
		}
	}
	per, err2 := time.ParseDuration(in)
	if !ok || err != nil || err2 != nil || n < 1 || n > MaxN || per < time.Millisecond || per > 366*24*time.Hour {
		return fmt.Errorf("%q is not a rate; write a number up to a million, a slash and a time: 100/1m", text)
	}
	*r = Rate{n, per}
	return nil
}

// String is the rate as it would be written.
func (r Rate) String() string {
	return strconv.Itoa(r.N) + "/" + Duration(r.In)
}

// Duration is one without the zeros at its end: 1h30m, and not 1h30m0s.
func Duration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
