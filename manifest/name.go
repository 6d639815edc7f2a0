package manifest

import "fmt"

// MaxName is the longest name, in bytes.
const MaxName = 64

// CheckName says whether s can name a vendor, device type, component, hardware
// revision or device: 1 to MaxName letters, digits, '.', '_', '-' and ':',
// the first a letter or digit. Such a name is safe in paths, URLs, logs and
// terminals, on every system, without quoting.
func CheckName(s string) error {
	if s == "" {
		return fmt.Errorf("name is empty")
	}
	if len(s) > MaxName {
		return fmt.Errorf("name of %d bytes, at most %d", len(s), MaxName)
	}
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-' && c != ':') {
			return fmt.Errorf("name %q: byte %d is not a letter, digit, '.', '_', '-' or ':'", s, i)
		}
	}
	return nil
}
