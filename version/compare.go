package version

import (
	"cmp"
	"strings"
)

// Compare returns -1 if a is older than b, 0 if neither is older, and +1 if a is
// newer, by item 11 of the specification. Build metadata does not count: versions
// that compare as 0 can differ in it. The zero Version is older than all others.
func Compare(a, b Version) int {
	// The empty core of the zero Version sorts first: "" is shorter than any number.
	if c := compareDotted(a.Core(), b.Core(), compareNumbers); c != 0 {
		return c
	}
	preA, preB := a.Prerelease(), b.Prerelease()
	switch {
	case preA == preB:
		return 0
	case preA == "": // a release is newer than its prereleases
		return 1
	case preB == "":
		return -1
	}
	return compareDotted(preA, preB, compareIdentifiers)
}

// Less reports whether v is older than other.
func (v Version) Less(other Version) bool { return Compare(v, other) < 0 }

// Equal reports whether neither version is older; build metadata may differ.
func (v Version) Equal(other Version) bool { return Compare(v, other) == 0 }

// compareDotted compares field by field; a list that continues where the other ends is greater.
func compareDotted(a, b string, compare func(a, b string) int) int {
	for {
		fieldA, restA, moreA := strings.Cut(a, ".")
		fieldB, restB, moreB := strings.Cut(b, ".")
		if c := compare(fieldA, fieldB); c != 0 {
			return c
		}
		switch {
		case moreA && !moreB:
			return 1
		case !moreA && moreB:
			return -1
		case !moreA:
			return 0
		}
		a, b = restA, restB
	}
}

// compareNumbers compares decimal numbers of any size. They have no leading
// zeros, so the longer one is the greater one; nothing is converted or overflows.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// compareIdentifiers orders numbers by value, before words, which are in ASCII order.
func compareIdentifiers(a, b string) int {
	switch numberA, numberB := isNumber(a), isNumber(b); {
	case numberA && numberB:
		return compareNumbers(a, b)
	case numberA:
		return -1
	case numberB:
		return 1
	}
	return strings.Compare(a, b)
}
