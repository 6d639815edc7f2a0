package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// formatLabels writes labels into one cell: site=berlin; ring=beta. A value
// that would not be read back as it is stands in quotes, in which \" and \\
// are " and \.
func formatLabels(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+quote(labels[key]))
	}
	return strings.Join(parts, "; ")
}

func quote(value string) string {
	if !strings.ContainsAny(value, `;"\`) && strings.TrimSpace(value) == value {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// parseLabels reads what formatLabels writes.
func parseLabels(cell string) (map[string]string, error) {
	labels := map[string]string{}
	for rest := strings.TrimSpace(cell); rest != ""; {
		key, after, ok := strings.Cut(rest, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, fmt.Errorf("%q: want NAME=VALUE; NAME=VALUE", rest)
		}
		if _, twice := labels[key]; twice {
			return nil, fmt.Errorf("label %q twice", key)
		}
		value, left, err := cutValue(strings.TrimLeft(after, " "))
		if err != nil {
			return nil, fmt.Errorf("label %q: %w", key, err)
		}
		labels[key], rest = value, strings.TrimSpace(left)
	}
	return labels, nil
}

// cutValue takes the first value of a text, and the semicolon behind it.
func cutValue(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, ";")
		if value = strings.TrimSpace(value); strings.ContainsAny(value, `"\`) {
			return "", "", fmt.Errorf(`%q: a value with " or \ stands in quotes`, value)
		}
		return value, rest, nil
	}
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			out.WriteByte(text[i])
		case c == '\\':
			return "", "", errors.New(`a \ stands before " or \ only`)
		case c == '"':
			rest = strings.TrimSpace(text[i+1:])
			if rest != "" && rest[0] != ';' {
				return "", "", fmt.Errorf("%q behind the quote: want a semicolon", rest)
			}
			return out.String(), strings.TrimPrefix(rest, ";"), nil
		default:
			out.WriteByte(c)
		}
	}
	return "", "", errors.New("the quote has no end")
}
