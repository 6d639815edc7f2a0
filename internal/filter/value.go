package filter

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/version"
)

// A value is what a test compares with, in the form that its field's kind
// needs.
type value struct {
	text    string // canonical
	glob    []string
	version version.Version
	number  uint64
	age     time.Duration // of a Moments field; 0: from and until count
	from    time.Time     // the first moment of the date or time
	until   time.Time     // the first moment after it
	flag    bool
}

const (
	wantVersion = "want a version such as 1.4.0"
	wantMoment  = `want an age such as 7d or 36h, a date such as 2026-01-31, or "" for never`
)

// readValue reads what stands behind an operator. wanted says what could have
// stood there; it is empty if all is well.
func readValue(f Field, op, text string) (v value, wanted string) {
	if op == "~" {
		return readGlob(f, text)
	}
	if text == "" && f.hasNone() {
		if op != "=" && op != "!=" {
			return value{}, `"" stands for none, behind = and != only`
		}
		return value{}, ""
	}
	switch f.Kind() {
	case Words:
		return readWord(f, op, text)
	case Versions:
		parsed, err := version.Parse(text)
		if err != nil {
			return value{}, wantVersion
		}
		return value{text: text, version: parsed}, ""
	case Numbers:
		return readNumber(f, text)
	case Moments:
		return readMoment(op, text)
	}
	return readFlag(op, text)
}

// hasNone says whether "" is a value of the field: that there is none.
func (f Field) hasNone() bool {
	return f.Kind() == Versions || f.Kind() == Moments || f.Kind() == Words && f.Words() == nil
}

func readGlob(f Field, text string) (value, string) {
	if f.Kind() != Words && f.Kind() != Versions {
		return value{}, fmt.Sprintf("~ compares texts and versions, not %s", f)
	}
	return value{text: text, glob: strings.Split(text, "*")}, ""
}

func readWord(f Field, op, text string) (value, string) {
	if op != "=" && op != "!=" {
		return value{}, fmt.Sprintf("%s is a text: it is compared with =, != or ~", f)
	}
	words := f.Words()
	for _, known := range words {
		if text == known {
			return value{text: text}, ""
		}
	}
	if words != nil {
		return value{}, fmt.Sprintf("%s is one of %s", f, quoteAll(words))
	}
	return value{text: text}, ""
}

func quoteAll(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = quote(w)
	}
	return strings.Join(list, ", ")
}

// readNumber reads a number or, of a sequence, EPOCH.NUMBER.
func readNumber(f Field, text string) (value, string) {
	if f == Sequence {
		s, err := manifest.ParseSequence(text)
		if err != nil {
			return value{}, "want a sequence such as 1.42"
		}
		return value{text: text, number: uint64(s)}, ""
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return value{}, "want a number"
	}
	return value{text: strconv.FormatUint(n, 10), number: n}, ""
}

func readFlag(op, text string) (value, string) {
	if op != "=" && op != "!=" {
		return value{}, "yes and no have no order: = or !="
	}
	switch text {
	case "yes", "true":
		return value{text: "yes", flag: true}, ""
	case "no", "false":
		return value{text: "no"}, ""
	}
	return value{}, "want yes or no"
}

func readMoment(op, text string) (value, string) {
	if age, ok := readAge(text); ok {
		if op == "=" || op == "!=" {
			return value{}, "an age is compared with <, <=, > or >="
		}
		return value{text: showAge(age), age: age}, ""
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil && inRange(day) {
		return value{text: text, from: day, until: day.AddDate(0, 0, 1)}, ""
	}
	if moment, err := time.Parse(time.RFC3339Nano, text); err == nil && inRange(moment.UTC()) {
		moment = moment.UTC()
		return value{text: moment.Format(time.RFC3339Nano), from: moment, until: moment.Add(1)}, ""
	}
	return value{}, wantMoment
}

func inRange(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9999 }

// maxAge keeps sums of ages far from overflowing.
const maxAge = 100 * 365 * 24 * time.Hour

var units = []struct {
	name string
	unit time.Duration
}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// readAge reads whole numbers with their units, such as 7d or 1d12h.
func readAge(text string) (age time.Duration, ok bool) {
	for text != "" {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		n, err := strconv.ParseUint(text[:digits], 10, 32)
		if err != nil || digits == len(text) {
			return 0, false
		}
		unit := time.Duration(0)
		for _, u := range units {
			if strings.HasPrefix(text[digits:], u.name) {
				unit = u.unit
			}
		}
		if unit == 0 || n > uint64(maxAge/unit) {
			return 0, false
		}
		if age += time.Duration(n) * unit; age > maxAge {
			return 0, false
		}
		text = text[digits+1:]
	}
	return age, age > 0
}

// showAge writes an age in the largest unit of which it is a whole number,
// weeks apart, which nobody counts in.
func showAge(age time.Duration) string {
	for _, u := range units[1:] {
		if age%u.unit == 0 {
			return strconv.FormatInt(int64(age/u.unit), 10) + u.name
		}
	}
	panic("filter: an age of part of a second")
}

// quote returns a text as a filter writes it: bare where it can stand so.
func quote(text string) string {
	special := func(r rune) bool { return !isWord(r, utf8.RuneLen(r)) }
	if text != "" && !strings.ContainsFunc(text, special) && (token{kind: word, text: text}).keyword() == "" {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
