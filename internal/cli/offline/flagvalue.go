package offline

import (
	"encoding"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// textFlag adds a flag whose value parses itself, so that a wrong one is a
// usage error with its own words.
func textFlag(flags *pflag.FlagSet, v encoding.TextUnmarshaler, name, usage string) {
	flags.Var(textValue{v}, name, usage)
}

type textValue struct{ encoding.TextUnmarshaler }

func (v textValue) Set(s string) error { return v.UnmarshalText([]byte(s)) }
func (textValue) String() string       { return "" }
func (textValue) Type() string         { return "text" }

// A typeName is the name of a device type.
type typeName string

func (n *typeName) UnmarshalText(text []byte) error {
	*n = typeName(text)
	return manifest.CheckName(string(text))
}

// A date is a moment, given as 2027-01-31 or 2027-01-31T12:00:00Z.
type date struct{ time.Time }

func (d *date) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			d.Time = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("want 2027-01-31 or 2027-01-31T12:00:00Z")
}

// A releaseNumber is a sequence, or the number in it with the epoch left to the
// key: "1.42" or "42".
type releaseNumber manifest.Sequence

func (n *releaseNumber) UnmarshalText(text []byte) error {
	if !strings.Contains(string(text), ".") {
		number, err := strconv.ParseUint(string(text), 10, 32)
		if err != nil || number == 0 {
			return fmt.Errorf("want a release number from 1 to %d, or EPOCH.NUMBER", uint32(math.MaxUint32))
		}
		*n = releaseNumber(manifest.NewSequence(0, uint32(number)))
		return nil
	}
	return (*manifest.Sequence)(n).UnmarshalText(text)
}

// An algorithm is a signature algorithm by its COSE name, and the size of its
// key.
type algorithm struct {
	trust.Algorithm
	bits int
}

// algorithms are the names, in the order in which they are offered.
var algorithms = []string{"PS256", "PS256-3072", "PS256-4096", "ESP256", "Ed25519"}

func (a *algorithm) UnmarshalText(text []byte) error {
	switch string(text) {
	case "PS256":
		*a = algorithm{trust.PS256, 2048}
	case "PS256-3072":
		*a = algorithm{trust.PS256, 3072}
	case "PS256-4096":
		*a = algorithm{trust.PS256, 4096}
	case "ESP256":
		*a = algorithm{trust.ESP256, 256}
	case "Ed25519":
		*a = algorithm{trust.Ed25519, 256}
	default:
		return fmt.Errorf("want one of %s", strings.Join(algorithms, ", "))
	}
	return nil
}
