package filter

import (
	"cmp"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/version"
)

// A node is a part of a filter.
type node interface {
	match(s Subject) bool
	write(out *strings.Builder, within binding)
}

// A binding says how strongly a node holds its parts together: what stands
// within something stronger needs parentheses.
type binding uint8

const (
	loose binding = iota
	inAnd         // an or needs parentheses here
	inNot         // an and needs them, too
)

type (
	conjunction []node // all of them; at least two, none of which is a conjunction
	disjunction []node // one of them; at least two, none of which is a disjunction
	negation    struct{ of node }
)

func (n conjunction) match(s Subject) bool {
	for _, part := range n {
		if !part.match(s) {
			return false
		}
	}
	return true
}

func (n conjunction) write(out *strings.Builder, within binding) {
	writeList(out, n, " and ", inAnd, within > inAnd)
}

func (n disjunction) match(s Subject) bool {
	for _, part := range n {
		if part.match(s) {
			return true
		}
	}
	return false
}

func (n disjunction) write(out *strings.Builder, within binding) {
	writeList(out, n, " or ", loose, within > loose)
}

func writeList(out *strings.Builder, parts []node, between string, within binding, parentheses bool) {
	if parentheses {
		out.WriteByte('(')
	}
	for i, part := range parts {
		if i > 0 {
			out.WriteString(between)
		}
		part.write(out, within)
	}
	if parentheses {
		out.WriteByte(')')
	}
}

func (n negation) match(s Subject) bool { return !n.of.match(s) }

func (n negation) write(out *strings.Builder, _ binding) {
	out.WriteString("not ")
	n.of.write(out, inNot)
}

// A test compares a field with a value.
type test struct {
	field Field
	key   string // of Label
	op    string
	value value
}

func (t *test) write(out *strings.Builder, _ binding) {
	if t.field == Label {
		out.WriteString(labelPrefix + t.key)
	} else {
		out.WriteString(t.field.String())
	}
	out.WriteString(t.op + quote(t.value.text))
}

func (t *test) match(s Subject) bool {
	switch t.field.Kind() {
	case Words:
		text := t.read(s)
		if t.op == "~" {
			return matchGlob(t.value.glob, text)
		}
		return equal(t.op, text == t.value.text)
	case Versions:
		return t.matchVersion(s.Version(t.field))
	case Numbers:
		return ordered(t.op, cmp.Compare(s.Number(t.field), t.value.number))
	case Moments:
		return t.matchTime(s.Time(t.field), s)
	case Flags:
		return equal(t.op, s.Flag(t.field) == t.value.flag)
	}
	return false
}

func (t *test) read(s Subject) string {
	if t.field == Label {
		return s.Label(t.key)
	}
	return s.Text(t.field)
}

// matchVersion compares by precedence. What has no version is neither older
// nor newer than one.
func (t *test) matchVersion(v version.Version) bool {
	switch {
	case t.op == "~":
		return matchGlob(t.value.glob, v.String())
	case v.IsZero() || t.value.version.IsZero():
		return equal(t.op, v.IsZero() == t.value.version.IsZero())
	}
	return ordered(t.op, version.Compare(v, t.value.version))
}

// matchTime compares an age with how long ago the moment was, and a date with
// the moment itself. What never was is neither before nor after anything.
func (t *test) matchTime(moment time.Time, s Subject) bool {
	v := t.value
	never := v.age == 0 && v.from.IsZero()
	switch {
	case moment.IsZero() || never:
		return equal(t.op, moment.IsZero() == never)
	case v.age != 0:
		return ordered(t.op, cmp.Compare(s.Now().Sub(moment), v.age))
	case moment.Before(v.from):
		return ordered(t.op, -1)
	case moment.Before(v.until):
		return ordered(t.op, 0)
	}
	return ordered(t.op, 1)
}

// equal says whether an operator asks for what two values are. What has no
// order is neither before nor after.
func equal(op string, same bool) bool { return op == "=" && same || op == "!=" && !same }

// ordered says whether a comparison came out as an operator wants it.
func ordered(op string, compared int) bool {
	switch op {
	case "=":
		return compared == 0
	case "!=":
		return compared != 0
	case "<":
		return compared < 0
	case "<=":
		return compared <= 0
	case ">":
		return compared > 0
	case ">=":
		return compared >= 0
	}
	return false
}

// matchGlob reports whether a text is made of the pieces between the stars of
// a pattern, in their order. Taking each piece where it comes first leaves the
// most to those after it, so nothing is tried twice.
func matchGlob(pieces []string, text string) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return text == first
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	text, ok = strings.CutSuffix(text, last)
	if !ok {
		return false
	}
	for _, piece := range pieces[1 : len(pieces)-1] {
		_, after, found := strings.Cut(text, piece)
		if !found {
			return false
		}
		text = after
	}
	return true
}
