package main

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strconv"
	"time"
)

// timedelta is how Python prints one: 1 day, 0:00:00 or -1 day, 23:59:59.500000.
var timedelta = regexp.MustCompile(`^(?:(-?\d+) days?, )?(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$`)

// isoDuration is how Django writes one: P1DT02H03M04.5S.
var isoDuration = regexp.MustCompile(`^(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?$`)

var errNoDuration = errors.New("no duration")

// pythonDuration reads seconds, or a timedelta as Python or Django writes it.
func pythonDuration(raw json.RawMessage) (time.Duration, error) {
	var seconds float64
	if json.Unmarshal(raw, &seconds) == nil {
		return fromSeconds(seconds)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return 0, errNoDuration
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return fromSeconds(seconds)
	}
	var days, hours, minutes, whole, fraction string
	sign := 1.0
	if m := timedelta.FindStringSubmatch(text); m != nil {
		days, hours, minutes, whole, fraction = m[1], m[2], m[3], m[4], m[5]
	} else if m := isoDuration.FindStringSubmatch(text); m != nil && len(text) > 2 {
		days, hours, minutes, whole, fraction = m[2], m[3], m[4], m[5], m[6]
		if m[1] != "" {
			sign = -1
		}
	} else {
		return 0, errNoDuration
	}
	number := func(digits string) float64 {
		n, _ := strconv.ParseFloat(digits, 64) // nothing is 0
		return n
	}
	total := number(days)*86400 + number(hours)*3600 + number(minutes)*60 + number(whole) + number("0."+fraction)
	return fromSeconds(sign * total)
}

func fromSeconds(seconds float64) (time.Duration, error) {
	if math.IsNaN(seconds) || math.Abs(seconds) > float64(math.MaxInt64/int64(time.Second)) {
		return 0, errNoDuration
	}
	whole, fraction := math.Modf(seconds)
	return time.Duration(whole)*time.Second + time.Duration(math.Round(fraction*1e6))*time.Microsecond, nil
}

// inUnits is a duration as the file wants it, in the largest unit that fits.
func inUnits(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if d%unit.size == 0 && (d >= 2*unit.size || unit.name != "d") {
			return strconv.FormatInt(int64(d/unit.size), 10) + unit.name
		}
	}
	return d.String()
}
