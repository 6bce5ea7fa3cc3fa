package drf

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Throttled is the answer to who has asked too often and may do so again after that
// time, which is rounded up to seconds and at least one.
func Throttled(wait time.Duration) Answer {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	unit := "seconds"
	if seconds == 1 {
		unit = "second"
	}
	answer := Detail(http.StatusTooManyRequests, fmt.Sprintf("Request was throttled. Expected available in %d %s.", seconds, unit))
	answer.Header = http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}}
	return answer
}
