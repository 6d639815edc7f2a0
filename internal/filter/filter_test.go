package filter_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/filter"
)

func TestZeroFilterSelectsAll(t *testing.T) {
	var none *filter.Filter
	blank, err := filter.Parse(" \t\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*filter.Filter{none, {}, blank} {
		if !f.IsZero() || f.String() != "" || !f.Match(newSubject(time.Time{})) {
			t.Errorf("%q does not select all", f)
		}
	}
}

func TestCanonicalForm(t *testing.T) {
	for text, want := range map[string]string{
		`  type = sensor_v1  `:               `type=sensor_v1`,
		`type="sensor_v1"`:                   `type=sensor_v1`,
		`((type=a)) AND (id=b And (id=c))`:   `type=a and id=b and id=c`,
		`type=a or (type=b or type=c)`:       `type=a or type=b or type=c`,
		`(type=a or type=b) and hold`:        `(type=a or type=b) and hold=yes`,
		`type=a or (type=b and hold=true)`:   `type=a or type=b and hold=yes`,
		`not (hold)`:                         `not hold=yes`,
		`not not not hold`:                   `not hold=yes`,
		`not not (hold and pin) and keyset`:  `hold=yes and pin!="" and keyset!=0`,
		`not (hold or not (pin and note))`:   `not (hold=yes or not (pin!="" and note!=""))`,
		`label.site`:                         `label.site!=""`,
		`sequence or error`:                  `sequence!=0.0 or error!=0`,
		`error=007`:                          `error=7`,
		`seen<168h`:                          `seen<7d`,
		`seen<1w1d`:                          `seen<8d`,
		`seen>1h30m`:                         `seen>90m`,
		`added>=2026-01-31T10:00:00.5+02:00`: `added>=2026-01-31T08:00:00.5Z`,
		`note="and"`:                         `note="and"`,
		`note="say \"\\\" twice"`:            `note="say \"\\\" twice"`,
		`label.site=Zürich`:                  `label.site=Zürich`,
		`label.a:b.c-d_e="x y"`:              `label.a:b.c-d_e="x y"`,
		`update-now=no`:                      `update-now=no`,
	} {
		f, err := filter.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if f.String() != want {
			t.Errorf("%s: canonical %s; want %s", text, f, want)
		}
	}
}

func TestRefusalsNameThePlaceAndWhatWasExpected(t *testing.T) {
	for _, tt := range []struct {
		text   string
		column int
		wanted string
	}{
		{`typ=a`, 1, "want one of the fields type id"},
		{`type=`, 6, "want a value behind ="},
		{`type==a`, 6, "want a value behind ="},
		{`type=a and`, 11, "want a field"},
		{`type=a id=b`, 8, "want and, or, or the end"},
		{`(type=a`, 8, "want and, or, or the ) of an open ("},
		{`type=a)`, 7, "want and, or, or the end"},
		{`type<a`, 6, "type is a text"},
		{`type=and`, 6, `put it in quotes: "and"`},
		{`"type"=a`, 1, "want a field"},
		{`état=1`, 1, "want one of the fields"},
		{`label.=x`, 1, "want the key of a label"},
		{`state=ofline`, 7, `"never seen", idle, offered`},
		{`state=""`, 7, `state is one of`},
		{`state`, 6, "want = or != behind state"},
		{`state ~ "*i*" and level<keyed`, 25, "level is a text"},
		{`version<1.2`, 9, "want a version such as 1.4.0"},
		{`version<""`, 9, `behind = and != only`},
		{`keyset=x`, 8, "want a number"},
		{`keyset~1*`, 8, "~ compares texts and versions, not keyset"},
		{`keyset=99999999999`, 8, "want a number"},
		{`sequence=42`, 10, "want a sequence such as 1.42"},
		{`seen=7d`, 6, "an age is compared with <"},
		{`seen<7`, 6, "want an age such as 7d"},
		{`seen<0d`, 6, "want an age such as 7d"},
		{`seen<7dd`, 6, "want an age such as 7d"},
		{`seen<99999999w`, 6, "want an age such as 7d"},
		{`seen<2026-02-30`, 6, "want an age such as 7d"},
		{`seen<1969-12-31`, 6, "want an age such as 7d"},
		{`hold=maybe`, 6, "want yes or no"},
		{`hold<yes`, 6, "no order"},
		{`note="open`, 6, "the quote has no end"},
		{`note="a\n"`, 8, "stands before"},
		{"note=\"a\nb\"", 8, "it cannot be shown"},
		{"note=\"\u202e\"", 7, "it cannot be shown"},
		{"note=\xff", 6, "in quotes only"},
		{`type=a && hold`, 8, "in quotes only"},
		{strings.Repeat("not ", 64) + "hold", 257, "more than 64"},
		{strings.Repeat("(", 5000), 4097, "at most 4096 bytes"},
		{strings.Repeat("note or ", 511) + "note", 4093, "at most 4096 bytes"}, // as note!=""
	} {
		_, err := filter.Parse(tt.text)
		var e *filter.Error
		if !errors.As(err, &e) || !errors.Is(err, filter.ErrInvalid) {
			t.Errorf("%.40s: %v; want an Error", tt.text, err)
			continue
		}
		if e.Column() != tt.column || !strings.Contains(e.Wanted, tt.wanted) {
			t.Errorf("%.40s: %v; want column %d: %s", tt.text, err, tt.column, tt.wanted)
		}
	}
}

func TestCaretStandsBelowThePlace(t *testing.T) {
	_, err := filter.Parse("label.ort=Zürich\nand state=ofline")
	var e *filter.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	want := "label.ort=Zürich and state=ofline\n" + strings.Repeat(" ", 27) + "^"
	if e.Caret() != want {
		t.Errorf("got\n%s\nwant\n%s", e.Caret(), want)
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"**", "", true},
		{"abc", "abc", true}, {"abc", "abcd", false}, {"a*", "abc", true}, {"a*", "ba", false},
		{"*c", "abc", true}, {"*c", "abcd", false}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"*b*", "abc", true}, {"*b*b*", "abc", false}, {"a*b*c", "axbxbxc", true}, {"ab*ba", "aba", false},
	} {
		f, err := filter.Parse(`note~"` + tt.pattern + `"`)
		if err != nil {
			t.Fatal(err)
		}
		s := newSubject(time.Time{})
		s.texts[filter.Note] = tt.text
		if f.Match(s) != tt.want {
			t.Errorf("%q like %q: %v", tt.text, tt.pattern, !tt.want)
		}
	}
}

// A pattern that makes a backtracking matcher take for ever.
func TestHostilePatternIsMatchedInTime(t *testing.T) {
	f, err := filter.Parse("note~" + strings.Repeat("a*", 2000) + "b")
	if err != nil {
		t.Fatal(err)
	}
	s := newSubject(time.Time{})
	s.texts[filter.Note] = strings.Repeat("a", 10000)
	start := time.Now()
	if f.Match(s) {
		t.Error("it ends in a")
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %s", took)
	}
}

func BenchmarkMatch(b *testing.B) {
	f, err := filter.Parse("type=sensor_v1 and label.site=berlin and version<1.2.0 and not state=silent")
	if err != nil {
		b.Fatal(err)
	}
	s := newSubject(time.Now())
	s.texts = map[filter.Field]string{filter.Type: "sensor_v1", filter.State: "idle"}
	s.labels["site"] = "berlin"
	b.ReportAllocs()
	for b.Loop() {
		f.Match(s)
	}
}
