package config

import (
	"slices"
	"strings"
)

// Nearest returns the candidate that a typing error would most likely have come from,
// or "" where none is close. The case of letters does not count.
func Nearest(name string, candidates []string) string { return nearest(name, candidates) }

// nearest returns the candidate that a typing error would most likely have
// come from, or "" where none is close.
func nearest(name string, candidates []string) string {
	// Longer than any key: nobody meant one of ours.
	if len(name) > 100 {
		return ""
	}
	name = strings.ToLower(name)
	best, least := "", max(1, len(name)/3)+1
	for _, candidate := range candidates {
		lower := strings.ToLower(candidate)
		distance := editDistance(name, lower)
		// A part of the right name ("connect" for "connect_timeout") is a likely
		// slip however far it is in letters.
		if len(name) > 3 && (strings.Contains(lower, name) || strings.Contains(name, lower) && len(lower) > 3) {
			distance = min(distance, 2)
		}
		if distance < least {
			best, least = candidate, distance
		}
	}
	return best
}

// editDistance counts letters added, dropped, changed, or swapped with their
// neighbor (optimal string alignment).
func editDistance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// quoteAll writes a few names for a sentence.
func quoteAll(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	return strings.Join(sorted, ", ")
}
