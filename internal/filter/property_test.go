package filter_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/version"
)

// An expression is a filter's text beside what it should mean, put together by
// other means than the package's.
type expression struct {
	text  string
	means func(*subject) bool
	tight bool // it stands below a not or an and without parentheses
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Small worlds of values, so that tests hit as often as they miss.
var (
	words   = []string{"", "a", "b", "ab", "a b", `q"\`, "and", "*"}
	numbers = []string{"0.0.0", "1.0.0", "1.2.0", "1.10.0"} // of versions, in their order
	moments = []time.Time{{}, noon.Add(-time.Hour), noon.Add(-36 * time.Hour), noon.Add(-48 * time.Hour), noon.AddDate(0, -1, 0)}
	ages    = map[string]time.Duration{"1h": time.Hour, "36h": 36 * time.Hour, "2d": 48 * time.Hour, "1w": 168 * time.Hour}
)

func drawSubject(t *rapid.T) *subject {
	s := newSubject(noon)
	s.texts[filter.Note] = rapid.SampledFrom(words).Draw(t, "note")
	s.labels["site"] = rapid.SampledFrom(words).Draw(t, "site")
	if v := rapid.SampledFrom(append([]string{""}, numbers...)).Draw(t, "version"); v != "" {
		s.versions[filter.Version], _ = version.Parse(v)
	}
	s.numbers[filter.Keyset] = rapid.Uint64Range(0, 3).Draw(t, "keyset")
	s.times[filter.Seen] = rapid.SampledFrom(moments).Draw(t, "seen")
	s.flags[filter.Hold] = rapid.Bool().Draw(t, "hold")
	return s
}

func quoted(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}

// compare is a comparison of two numbers by an operator's name.
func compare(op string, a, b int64) bool {
	return map[string]bool{"=": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]
}

func drawTest(t *rapid.T) expression {
	op := rapid.SampledFrom([]string{"=", "!=", "<", "<=", ">", ">="}).Draw(t, "op")
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		field := rapid.SampledFrom([]string{"note", "label.site"}).Draw(t, "text")
		read := func(s *subject) string {
			return map[string]string{"note": s.texts[filter.Note], "label.site": s.labels["site"]}[field]
		}
		w := rapid.SampledFrom(words).Draw(t, "word")
		switch op {
		case "=", "<":
			return expression{field + " = " + quoted(w), func(s *subject) bool { return read(s) == w }, true}
		case "!=", ">":
			return expression{field + "!=" + quoted(w), func(s *subject) bool { return read(s) != w }, true}
		}
		pattern := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"*", "a", "b", " "}), 0, 4).Draw(t, "pattern"), "")
		like := regexp.MustCompile("^" + strings.ReplaceAll(pattern, "*", ".*") + "$")
		return expression{field + "~" + quoted(pattern), func(s *subject) bool { return like.MatchString(read(s)) }, true}
	case 1:
		i := rapid.IntRange(0, len(numbers)-1).Draw(t, "version")
		return expression{"version" + op + numbers[i], func(s *subject) bool {
			at := slices.Index(numbers, s.versions[filter.Version].String())
			if at < 0 {
				return op == "!="
			}
			return compare(op, int64(at), int64(i))
		}, true}
	case 2:
		n := rapid.Int64Range(0, 3).Draw(t, "keyset")
		return expression{"keyset " + op + strconv.FormatInt(n, 10), func(s *subject) bool {
			return compare(op, int64(s.numbers[filter.Keyset]), n)
		}, true}
	case 3:
		if strings.Trim(op, "<>") == op { // = and !=
			op = "<"
		}
		text := rapid.SampledFrom(slices.Sorted(maps.Keys(ages))).Draw(t, "age")
		return expression{"seen" + op + text, func(s *subject) bool {
			seen := s.times[filter.Seen]
			return !seen.IsZero() && compare(op, int64(noon.Sub(seen)), int64(ages[text]))
		}, true}
	case 4:
		day := noon.Truncate(24*time.Hour).AddDate(0, 0, -rapid.IntRange(0, 3).Draw(t, "day"))
		return expression{"seen" + op + day.Format("2006-01-02"), func(s *subject) bool {
			seen := s.times[filter.Seen]
			if seen.IsZero() {
				return op == "!="
			}
			return compare(op, seen.Unix()/86400, day.Unix()/86400)
		}, true}
	case 5:
		return expression{"hold", func(s *subject) bool { return s.flags[filter.Hold] }, true}
	}
	return expression{`seen=""`, func(s *subject) bool { return s.times[filter.Seen].IsZero() }, true}
}

func drawExpression(t *rapid.T, depth int) expression {
	kind := rapid.IntRange(0, 4).Draw(t, "node")
	if depth == 0 || kind == 0 {
		return drawTest(t)
	}
	a := drawExpression(t, depth-1)
	if kind == 1 {
		return expression{"not " + wrapped(a, !a.tight), func(s *subject) bool { return !a.means(s) }, true}
	}
	if kind == 2 {
		return expression{wrapped(a, true), a.means, true}
	}
	b := drawExpression(t, depth-1)
	if kind == 3 { // an and within an and needs no parentheses, but this does not know it
		return expression{
			fmt.Sprintf("%s and %s", wrapped(a, !a.tight), wrapped(b, !b.tight)),
			func(s *subject) bool { return a.means(s) && b.means(s) }, false,
		}
	}
	return expression{a.text + " or " + b.text, func(s *subject) bool { return a.means(s) || b.means(s) }, false}
}

func wrapped(e expression, parentheses bool) string {
	if parentheses {
		return "( " + e.text + " )"
	}
	return e.text
}

func TestMeansWhatANaiveEvaluatorSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpression(t, 4)
		f, err := filter.Parse(e.text)
		if err != nil {
			t.Fatalf("%s: %v", e.text, err)
		}
		again, err := filter.Parse(f.String())
		if err != nil || again.String() != f.String() {
			t.Fatalf("%s: canonical %s is read as %s (%v)", e.text, f, again, err)
		}
		for range 8 {
			s := drawSubject(t)
			if want := e.means(s); f.Match(s) != want || again.Match(s) != want {
				t.Fatalf("%s: %v, canonical %s: %v; want %v", e.text, f.Match(s), f, again.Match(s), want)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "type=sensor_v1 and label.site=berlin and version<1.2.0 and not state=silent",
		`(note~"*a b*" or seen>1d12h) and not (not hold and pin)`, `added=2026-01-31 or added>2026-01-31T00:00:00.1+01:00`,
		"sequence>=1.42 AND error", "((((", `note="\"`, "seen=\"\" or level!=token", "label.x!=\xff", "not not not",
	} {
		f.Add(seed)
	}
	s := newSubject(noon)
	s.texts[filter.Note], s.times[filter.Added] = "a b", noon
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := filter.Parse(text)
		if err != nil {
			e, ok := err.(*filter.Error)
			if !ok || e.Pos < 0 || e.Pos > len(e.Text) || e.Wanted == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			_ = e.Error() + e.Caret()
			return
		}
		again, err := filter.Parse(parsed.String())
		if err != nil {
			t.Fatalf("%q: canonical %q: %v", text, parsed, err)
		}
		if again.String() != parsed.String() {
			t.Fatalf("%q: canonical %q, of that %q", text, parsed, again)
		}
		if parsed.Match(s) != again.Match(s) {
			t.Fatalf("%q and its canonical form %q differ", text, parsed)
		}
	})
}
