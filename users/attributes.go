package users

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The bounds of attributes. Each account is held in memory with its own.
const (
	maxAttributes     = 50
	maxAttributeName  = 100  // in characters
	maxAttributeValue = 1000 // in characters
)

// IsAttributeName tells whether an attribute can have that name: 1 to 100 letters and
// digits of ASCII, with - _ and dots.
func IsAttributeName(name string) bool {
	return name != "" && len(name) <= maxAttributeName &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// checkAttributes accepts what can be stored. Values are texts, the empty one too.
func checkAttributes(attributes map[string]string) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if !IsAttributeName(name) {
			faults = append(faults, &Fault{
				At: "attributes", Problem: fmt.Sprintf("%.120q cannot be the name of an attribute", name),
				Fix: fmt.Sprintf("give letters, digits, - _ and dots, at most %d", maxAttributeName),
			})
			continue
		}
		faults = append(faults, checkText("attributes."+name, attributes[name], maxAttributeValue))
	}
	if n := len(attributes); n > maxAttributes {
		faults = append(faults, &Fault{
			At: "attributes", Problem: fmt.Sprintf("%d attributes are too many for one user", n), Fix: fmt.Sprintf("give at most %d", maxAttributes),
		})
	}
	return errors.Join(faults...)
}

// changed returns attributes with others set and some removed, in a new map.
func changed(attributes, set map[string]string, remove []string) map[string]string {
	all := maps.Clone(attributes)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, set)
	for _, name := range remove {
		delete(all, name)
	}
	return all
}

// attributesText is what stands in the column.
func attributesText(attributes map[string]string) string {
	if len(attributes) == 0 {
		return "{}"
	}
	text, _ := json.Marshal(attributes) // texts by name: nothing that could fail
	return string(text)
}

func readAttributes(text string) (map[string]string, error) {
	attributes := map[string]string{}
	if text == "{}" {
		return attributes, nil
	}
	if err := json.Unmarshal([]byte(text), &attributes); err != nil || attributes == nil {
		return nil, fmt.Errorf("the column attributes is no JSON object of texts: %w", err)
	}
	return attributes, nil
}
