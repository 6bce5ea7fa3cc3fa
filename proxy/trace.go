package proxy

import "strings"

// traceID is the trace that a request belongs to by its traceparent (W3C Trace
// Context, section 3.2); "" where it belongs to none.
func traceID(sent []string) string {
	const version, trace, span, flags = 2, 32, 16, 2
	value := first(sent)
	if len(sent) != 1 || len(value) < version+1+trace+1+span+1+flags || value[version] != '-' || value[version+1+trace] != '-' {
		return ""
	}
	id := value[version+1 : version+1+trace]
	if value[:version] == "ff" || !isLowerHex(id) || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}

func isLowerHex(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
