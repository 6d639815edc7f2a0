package filter

import (
	"fmt"
	"strings"
)

// MaxLength is the most bytes of a filter, also in its canonical form.
const MaxLength = 4096

// maxDepth bounds how deep parentheses and nots may stand within each other,
// and so the stack that reading and matching need.
const maxDepth = 64

// A Filter selects devices. The zero value, and nil, select all. A Filter is
// never changed and safe for concurrent use.
type Filter struct {
	root      node // nil: all
	canonical string
}

// Parse reads a filter; an empty text is the filter that selects all. The
// error is an *Error.
func Parse(text string) (*Filter, error) {
	if len(text) > MaxLength {
		return nil, tooLong(text)
	}
	p := parser{lexer: lexer{text: text}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind == end {
		return &Filter{}, nil
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token.kind != end {
		return nil, p.fail(p.token, "want and, or, or the end")
	}
	var out strings.Builder
	root.write(&out, loose)
	if out.Len() > MaxLength { // it would not be read back
		return nil, tooLong(text)
	}
	return &Filter{root, out.String()}, nil
}

func tooLong(text string) error {
	text = text[:min(len(text), MaxLength)]
	return &Error{Text: text, Pos: len(text), Found: "the end", Wanted: fmt.Sprintf("a filter has at most %d bytes", MaxLength)}
}

// Match reports whether the filter selects a device.
func (f *Filter) Match(s Subject) bool { return f == nil || f.root == nil || f.root.match(s) }

// IsZero reports whether the filter selects all.
func (f *Filter) IsZero() bool { return f == nil || f.root == nil }

// String returns the canonical form: the same for all spellings of a filter,
// and read back as the same filter.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return f.canonical
}
