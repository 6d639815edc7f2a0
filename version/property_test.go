package version

import (
	"math/big"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// official is the regular expression that semver.org suggests: a second opinion on Parse.
var official = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "1.2.3", "1.2.3-rc.1+b.01", "v1.2.3", "1.2", "01.2.3", "1.2.3-01", "1.2.3----+-",
		"1.2.3\n", "99999999999999999999999.999999999999999999.99999999999999999", strings.Repeat("1", 70)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse(text)
		parts := official.FindStringSubmatch(text)
		if valid := parts != nil && len(text) <= MaxLength; valid != (err == nil) {
			t.Fatalf("Parse(%q): error %v, the official expression says %t", text, err, valid)
		}
		if err != nil {
			return
		}
		if v.String() != text || v.Core() != strings.Join(parts[1:4], ".") || v.Prerelease() != parts[4] || v.Build() != parts[5] {
			t.Errorf("%q has parts %q %q %q, the official expression says %q", text, v.Core(), v.Prerelease(), v.Build(), parts)
		}
		if !v.Equal(v) || Compare(v, Version{}) != 1 {
			t.Errorf("%q is not equal to itself and newer than none", text)
		}
	})
}

// someVersion draws from few, close and huge values, so that ties and near misses are common.
func someVersion() *rapid.Generator[Version] {
	number := rapid.SampledFrom([]string{"0", "1", "2", "9", "10", "11", "4294967295", "4294967296", "18446744073709551616"})
	identifier := rapid.OneOf(
		rapid.SampledFrom([]string{"0", "1", "9", "10", "a", "A", "-", "-1", "a-", "alpha", "rc", "0a", "18446744073709551616"}),
		rapid.StringMatching(`[a-zA-Z-][0-9a-zA-Z-]{0,2}`))
	list := rapid.SliceOfN(identifier, 0, 3)
	return rapid.Custom(func(t *rapid.T) Version {
		text := number.Draw(t, "major") + "." + number.Draw(t, "minor") + "." + number.Draw(t, "patch")
		if pre := list.Draw(t, "prerelease"); len(pre) > 0 {
			text += "-" + strings.Join(pre, ".")
		}
		if build := list.Draw(t, "build"); len(build) > 0 {
			text += "+" + strings.Join(build, ".")
		}
		if len(text) > MaxLength {
			t.Skip("too long")
		}
		v, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
}

func TestCompareIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := someVersion().Draw(t, "a"), someVersion().Draw(t, "b"), someVersion().Draw(t, "c")
		ab, bc, ac := Compare(a, b), Compare(b, c), Compare(a, c)
		if Compare(a, a) != 0 {
			t.Fatalf("%s differs from itself", a)
		}
		if ab != -Compare(b, a) {
			t.Fatalf("%s and %s: %d one way, %d the other", a, b, ab, Compare(b, a))
		}
		if ab <= 0 && bc <= 0 && (ac > 0 || (ac == 0) != (ab == 0 && bc == 0)) {
			t.Fatalf("not transitive: %s %s %s compare as %d %d %d", a, b, c, ab, bc, ac)
		}
		withoutBuild := func(v Version) string { text, _, _ := strings.Cut(v.String(), "+"); return text }
		if same := withoutBuild(a) == withoutBuild(b); same != (ab == 0) {
			t.Fatalf("%s and %s: same but for build %t, compare as %d", a, b, same, ab)
		}
		if a.Less(b) != (ab < 0) || a.Equal(b) != (ab == 0) {
			t.Fatalf("Less and Equal of %s and %s disagree with Compare", a, b)
		}
	})
}

func TestCoresCompareAsBigNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := someVersion().Draw(t, "a"), someVersion().Draw(t, "b")
		coreA, coreB := strings.Split(a.Core(), "."), strings.Split(b.Core(), ".")
		for i := range coreA {
			x, _ := new(big.Int).SetString(coreA[i], 10)
			y, _ := new(big.Int).SetString(coreB[i], 10)
			if want := x.Cmp(y); want != 0 {
				if got := Compare(a, b); got != want {
					t.Fatalf("Compare(%s, %s) = %d, want %d", a, b, got, want)
				}
				return
			}
		}
	})
}
