package rollout

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Duration is a time.Duration that is written as people write it: "90m",
// "24h", "7d".
type Duration time.Duration

const day = 24 * time.Hour

// ParseDuration reads whole days ("7d") and whatever time.ParseDuration reads.
func ParseDuration(text string) (Duration, error) {
	if digits, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err == nil {
			return Duration(time.Duration(n) * day), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("duration %q: want for instance 90m, 24h or 7d", text)
	}
	return Duration(d), nil
}

// String returns the duration without units that are zero.
func (d Duration) String() string {
	if d != 0 && time.Duration(d)%day == 0 {
		return strconv.FormatInt(int64(time.Duration(d)/day), 10) + "d"
	}
	text := time.Duration(d).String()
	if s, ok := strings.CutSuffix(text, "m0s"); ok {
		text = s + "m"
	}
	if s, ok := strings.CutSuffix(text, "h0m"); ok {
		text = s + "h"
	}
	return text
}

// MarshalText returns what String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// Set and Type make it a command line flag.
func (d *Duration) Set(text string) error { return d.UnmarshalText([]byte(text)) }

// Type names the value in help texts.
func (d *Duration) Type() string { return "DURATION" }
