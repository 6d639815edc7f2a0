package console

import (
	"net/url"
	"strings"
)

// equal is a filter (docs/filters.md) that asks a field for a value.
func equal(field, value string) string { return field + "=" + quoted(value) }

// where joins filters in their canonical form with "and", without those that
// are empty.
func where(terms ...string) string {
	var parts []string
	for _, term := range terms {
		if term != "" {
			parts = append(parts, term)
		}
	}
	if len(parts) > 1 { // "or" binds weaker; one within a value costs two parentheses
		for i, part := range parts {
			if strings.Contains(part, " or ") {
				parts[i] = "(" + part + ")"
			}
		}
	}
	return strings.Join(parts, " and ")
}

// quoted returns a value as a filter writes it.
func quoted(value string) string {
	plain := value != "" && strings.IndexFunc(value, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:", r))
	}) < 0
	switch strings.ToLower(value) {
	case "and", "or", "not":
		plain = false
	}
	if plain {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// devicesURL is the list of the devices that a filter selects.
func devicesURL(filter string) string {
	if filter == "" {
		return "/devices"
	}
	return "/devices?filter=" + strings.ReplaceAll(url.QueryEscape(filter), "+", "%20")
}
