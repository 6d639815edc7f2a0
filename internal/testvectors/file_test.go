package testvectors

import (
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/reason"
)

const small = `# a file
kind: manifest
hardware: B
key: 00
key: 01

vector: first
object: a0
expect: accept

vector: second
key: 02
hardware:
expect: refuse 16 sequence does not rise
`

func TestVectorsReplaceTheirContext(t *testing.T) {
	vectors, err := Parse([]byte(small))
	if err != nil || len(vectors) != 2 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	first, second := vectors[0], vectors[1]
	if first.Kind != "manifest" || first.Name != "first" || first.Expect != reason.None || second.Expect != reason.OldSequence {
		t.Errorf("read %+v and %+v", first, second)
	}
	if got := strings.Join(first.All("key"), " "); got != "00 01" || first.Text("hardware") != "B" {
		t.Errorf("first: keys %q, hardware %q", got, first.Text("hardware"))
	}
	if got := strings.Join(second.All("key"), " "); got != "02" || second.Text("hardware") != "" {
		t.Errorf("second: keys %q, hardware %q", got, second.Text("hardware"))
	}
}

func TestFilesOutsideTheFormatAreRefused(t *testing.T) {
	for name, change := range map[string][2]string{
		"no kind":             {"kind: manifest", ""},
		"no expect":           {"expect: accept\n", ""},
		"an unknown verdict":  {"expect: accept", "expect: maybe"},
		"other words":         {"sequence does not rise", "old"},
		"a number in words":   {"object: a0", "nonce: a0"},
		"hex in capitals":     {"object: a0", "object: A0"},
		"two spaces":          {"object: a0", "object:  a0"},
		"a space at the end":  {"object: a0", "object: a0 "},
		"a tab":               {"object: a0", "object:\ta0"},
		"a letter outside":    {"hardware: B", "hardware: é"},
		"a line that is none": {"object: a0", "object"},
		"a line that is long": {"hardware: B", "hardware: " + strings.Repeat("B", MaxLine)},
		"a leading zero":      {"object: a0", "nonce: 01"},
	} {
		text := strings.Replace(small, change[0], change[1], 1)
		if text == small {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}
