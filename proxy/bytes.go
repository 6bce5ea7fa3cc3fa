package proxy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size: a plain number of bytes, or one with KiB, MiB or GiB behind it.
type Bytes int64

// The units that a size may be written in.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// UnmarshalText reads "32768", "32KiB", "32 KiB", "20MiB" or "1GiB".
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	unit, digits := Bytes(1), s
	for suffix, size := range map[string]Bytes{"KiB": KiB, "MiB": MiB, "GiB": GiB} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			unit, digits = size, strings.TrimRight(rest, " ")
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || digits[0] == '+' {
		// "20MB" and "20M" mean two different numbers to different people.
		return fmt.Errorf("%q is not a size; write a number of bytes, or one with KiB, MiB or GiB", s)
	}
	if n > math.MaxInt64/int64(unit) {
		return fmt.Errorf("%q is too large for a size", s)
	}
	*b = Bytes(n) * unit
	return nil
}

// MarshalText is String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String uses the largest unit that leaves no remainder.
func (b Bytes) String() string {
	switch {
	case b == 0:
		return "0"
	case b%GiB == 0:
		return strconv.FormatInt(int64(b/GiB), 10) + "GiB"
	case b%MiB == 0:
		return strconv.FormatInt(int64(b/MiB), 10) + "MiB"
	case b%KiB == 0:
		return strconv.FormatInt(int64(b/KiB), 10) + "KiB"
	}
	return strconv.FormatInt(int64(b), 10)
}
