package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode"
)

// hostile are texts that would do something to a log or to the terminal of who
// reads it.
var hostile = []string{
	"two\nlines", "cr\rover", "\x1b[31mred\x1b[0m", "nul\x00end", "c1 \u009b31m", "turned \u202etxt.exe", "next\u2028line", "bad \xff utf8", "tag \U000E0041",
}

func TestNothingLoggedBeginsALineOrMovesTheCursor(t *testing.T) {
	for _, format := range []string{Text, JSON} {
		var out bytes.Buffer
		log, err := New(&out, format, slog.LevelDebug)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range hostile {
			log.Info(text, "value", text, "error", errors.New(text), "any", struct{ S string }{text}, text, "key", slog.Group("group", "inner", text))
		}
		written := out.String()
		if lines := strings.Count(written, "\n"); lines != len(hostile) {
			t.Errorf("%s: %d lines of %d records", format, lines, len(hostile))
		}
		for i, r := range written {
			if r != '\n' && (!unicode.IsPrint(r) || r == unicode.ReplacementChar) {
				t.Errorf("%s: %U at byte %d", format, r, i)
			}
		}
		if format != JSON {
			continue
		}
		for line := range strings.Lines(written) {
			if !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %s", line)
			}
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range printable(text) {
			if !unicode.IsPrint(r) {
				t.Errorf("%q: %U", text, r)
			}
		}
		if clean := printable(text); printable(clean) != clean {
			t.Errorf("%q is escaped twice", text)
		}
	})
}

func TestWhatIsNoLevelOrFormatIsRefused(t *testing.T) {
	if _, err := New(nil, "xml", slog.LevelInfo); err == nil {
		t.Error("format xml")
	}
	for _, name := range []string{"", "INFO+1", "loud"} {
		if _, err := ParseLevel(name); err == nil {
			t.Errorf("level %q", name)
		}
	}
	if l, err := ParseLevel("warn"); err != nil || l != slog.LevelWarn {
		t.Errorf("warn: %v, %v", l, err)
	}
}
