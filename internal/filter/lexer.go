package filter

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	end tokenKind = iota
	word
	quoted
	operator // = != < <= > >= ~
	opening  // (
	closing  // )
)

// A token is one piece of a filter.
type token struct {
	kind tokenKind
	text string // of a quoted text what is between its quotes, escapes resolved
	pos  int    // byte offset
	raw  string // as it stands in the filter
}

// maxShown is the most characters of a token in an error.
const maxShown = 40

// shown is the token in an error.
func (t token) shown() string {
	if t.kind == end {
		return "the end"
	}
	raw := []rune(t.raw)
	if len(raw) > maxShown {
		raw = append(raw[:maxShown:maxShown], '…')
	}
	if t.kind == quoted {
		return string(raw)
	}
	return strconv.Quote(string(raw))
}

// keyword returns and, or, not, or nothing. They are the same in capitals.
func (t token) keyword() string {
	if t.kind != word {
		return ""
	}
	switch lower := strings.ToLower(t.text); lower {
	case "and", "or", "not":
		return lower
	}
	return ""
}

// A lexer cuts a filter into tokens.
type lexer struct {
	text string
	pos  int
}

func (l *lexer) next() (token, error) {
	for l.pos < len(l.text) && isSpace(l.text[l.pos]) {
		l.pos++
	}
	rest := l.text[l.pos:]
	if rest == "" {
		return token{kind: end, pos: l.pos}, nil
	}
	switch c := rest[0]; {
	case c == '(':
		return l.take(opening, 1), nil
	case c == ')':
		return l.take(closing, 1), nil
	case c == '"':
		return l.quoted()
	case strings.HasPrefix(rest, "!="), strings.HasPrefix(rest, "<="), strings.HasPrefix(rest, ">="):
		return l.take(operator, 2), nil
	case c == '=', c == '<', c == '>', c == '~':
		return l.take(operator, 1), nil
	}
	n := 0
	for n < len(rest) {
		r, size := utf8.DecodeRuneInString(rest[n:])
		if !isWord(r, size) {
			break
		}
		n += size
	}
	if n == 0 {
		_, size := utf8.DecodeRuneInString(rest)
		return token{}, l.fail(l.pos, l.pos+size, "such a character stands in a text in quotes only")
	}
	return l.take(word, n), nil
}

func (l *lexer) take(kind tokenKind, n int) token {
	raw := l.text[l.pos : l.pos+n]
	t := token{kind: kind, text: raw, pos: l.pos, raw: raw}
	l.pos += n
	return t
}

// quoted reads a text in quotes, in which \" and \\ stand for " and \.
func (l *lexer) quoted() (token, error) {
	var out strings.Builder
	for i := l.pos + 1; i < len(l.text); {
		r, size := utf8.DecodeRuneInString(l.text[i:])
		switch {
		case r == '"':
			t := l.take(quoted, i+1-l.pos)
			t.text = out.String()
			return t, nil
		case r == '\\':
			if i+1 == len(l.text) || l.text[i+1] != '"' && l.text[i+1] != '\\' {
				return token{}, l.fail(i, i+1, `in quotes a \ stands before " or \ only`)
			}
			out.WriteByte(l.text[i+1])
			i += 2
			continue
		case !isShown(r, size):
			return token{}, l.fail(i, i+size, "it cannot be shown")
		}
		out.WriteString(l.text[i : i+size])
		i += size
	}
	return token{}, l.fail(l.pos, l.pos+1, "the quote has no end")
}

func (l *lexer) fail(from, to int, wanted string) error {
	return &Error{Text: l.text, Pos: from, Found: strconv.Quote(l.text[from:to]), Wanted: wanted}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// isShown excludes what could act on a terminal, and bytes that are no UTF-8.
func isShown(r rune, size int) bool {
	return unicode.IsPrint(r) && (r != utf8.RuneError || size > 1)
}

// isWord says whether a rune may stand in a value without quotes.
func isWord(r rune, size int) bool {
	return isShown(r, size) && !unicode.IsSpace(r) && !strings.ContainsRune(`()"=!<>~\,;&|'`, r)
}
