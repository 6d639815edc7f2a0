package version

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func mustParse(t testing.TB, text string) Version {
	t.Helper()
	v, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPartsAreThoseOfTheText(t *testing.T) {
	for _, c := range []struct{ text, core, pre, build string }{
		{"1.2.3", "1.2.3", "", ""},
		{"1.2.3-rc.1", "1.2.3", "rc.1", ""},
		{"1.2.3+a-b", "1.2.3", "", "a-b"},
		{"1.2.3--+-", "1.2.3", "-", "-"},
		{"0.0.0-a-b.c+001.-", "0.0.0", "a-b.c", "001.-"},
	} {
		v := mustParse(t, c.text)
		if v.Core() != c.core || v.Prerelease() != c.pre || v.Build() != c.build || v.String() != c.text || v.IsZero() {
			t.Errorf("%s: core %q, prerelease %q, build %q, text %q", c.text, v.Core(), v.Prerelease(), v.Build(), v)
		}
	}
}

func TestParseRefusesAndSaysWhy(t *testing.T) {
	for text, reason := range map[string]string{
		"":                      "does not start with a number",
		"1.2":                   "2 of 3 numbers",
		"1.2.3.4":               "4 of 3 numbers",
		"v1.2.3":                `"v1" is not a number`,
		" 1.2.3":                `" 1" is not a number`,
		"1.2.3\n":               `"3\n" is not a number`,
		"1..3":                  `"" is not a number`,
		"1.2.٣":                 "is not a number",
		"1.02.3":                `"02" has a leading zero`,
		"1.2.3-":                "prerelease has an empty identifier",
		"1.2.3-a..b":            "prerelease has an empty identifier",
		"1.2.3-00":              `"00" in the prerelease has a leading zero`,
		"1.2.3-a_b":             "has other characters",
		"1.2.3+":                "build metadata has an empty identifier",
		"1.2.3+a+b":             "has other characters",
		"1.2.3-ü":               "has other characters",
		"1.2.3-a\x00":           "has other characters",
		strings.Repeat("9", 65): "65 bytes long, the limit is 64",
	} {
		v, err := Parse(text)
		var parseErr *ParseError
		if !errors.As(err, &parseErr) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: error %v, want a ParseError", text, err)
			continue
		}
		if !strings.Contains(parseErr.Reason, reason) || !strings.Contains(err.Error(), "x.y.z") {
			t.Errorf("%q: %q does not say %q", text, err, reason)
		}
		if v != (Version{}) {
			t.Errorf("%q: error and a version, %q", text, v)
		}
	}
}

func TestLengthLimitIsExact(t *testing.T) {
	longest := strings.Repeat("9", MaxLength-4) + ".0.0"
	mustParse(t, longest)
	if _, err := Parse(longest + "0"); !errors.Is(err, ErrInvalid) {
		t.Errorf("%d bytes: error %v", len(longest)+1, err)
	}
	_, err := Parse(strings.Repeat("x", 1<<20))
	if len(err.Error()) > 300 {
		t.Errorf("the error repeats %d bytes of a hostile text", len(err.Error()))
	}
}

func TestZeroVersionIsOlderThanAllAndNotMarshalled(t *testing.T) {
	var zero Version
	oldest := mustParse(t, "0.0.0-0")
	if !zero.IsZero() || !zero.Less(oldest) || oldest.Less(zero) || !zero.Equal(Version{}) || zero.String() != "" {
		t.Error("the zero version is not older than 0.0.0-0")
	}
	if _, err := zero.MarshalText(); !errors.Is(err, ErrInvalid) {
		t.Errorf("marshal: error %v", err)
	}
}

func TestTextMarshallingRoundTrips(t *testing.T) {
	type release struct {
		Version Version
		Floor   Version `json:",omitzero"`
	}
	in := release{Version: mustParse(t, "1.2.3-rc.1+b")}
	data, err := json.Marshal(in)
	if err != nil || string(data) != `{"Version":"1.2.3-rc.1+b"}` {
		t.Fatalf("%s, %v", data, err)
	}
	var out release
	if err := json.Unmarshal(data, &out); err != nil || out != in {
		t.Errorf("read back %v, %v", out, err)
	}
	if err := out.Version.UnmarshalText([]byte("1.2")); !errors.Is(err, ErrInvalid) || out != in {
		t.Errorf("error %v left %v", err, out)
	}
}

func TestEqualIgnoresBuildAndOperatorDoesNot(t *testing.T) {
	a, b := mustParse(t, "1.0.0+a"), mustParse(t, "1.0.0+b")
	if !a.Equal(b) || a == b {
		t.Error("1.0.0+a and 1.0.0+b: want equal precedence and different values")
	}
}
