// Package logging makes the log of a server: one line for each record, as text
// or as JSON, whatever is in it.
//
// Devices, clients and objects write parts of what is logged. Nothing of that
// can begin a second line, move a terminal's cursor, or turn the direction of
// writing: what does not print is escaped before it is written, in both formats.
// JSON's own escaping is not enough, for it lets U+009B and U+202E pass.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The formats.
const (
	Text = "text" // name=value pairs, for people and journals
	JSON = "json" // an object a line, for log collectors
)

// New returns a log that writes records of at least that level to w.
func New(w io.Writer, format string, level slog.Leveler) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: printableAttr}
	switch format {
	case Text, "":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case JSON:
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("log format %q: want %s or %s", format, Text, JSON)
}

// ParseLevel reads debug, info, warn or error.
func ParseLevel(name string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(l.String(), name) {
			return l, nil
		}
	}
	return 0, fmt.Errorf("log level %q: want debug, info, warn or error", name)
}

func printableAttr(_ []string, a slog.Attr) slog.Attr {
	a.Key = printable(a.Key)
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(printable(v.String()))
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error, fmt.Stringer:
			a.Value = slog.StringValue(printable(fmt.Sprint(x)))
		default:
			a.Value = slog.StringValue(printable(fmt.Sprintf("%+v", x)))
		}
	}
	return a
}

// printable escapes what is no printable character.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}
