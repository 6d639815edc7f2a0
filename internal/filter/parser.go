package filter

import (
	"fmt"
	"strings"

	"github.com/secure-ota/secure-ota/manifest"
)

// A parser reads a filter by recursive descent:
//
//	or   = and { "or" and }
//	and  = not { "and" not }
//	not  = "not" not | "(" or ")" | test
//	test = field [ operator value ]
type parser struct {
	lexer lexer
	token token // the one to be read next
	depth int
}

func (p *parser) advance() (err error) {
	p.token, err = p.lexer.next()
	return err
}

func (p *parser) fail(t token, format string, args ...any) error {
	return &Error{Text: p.lexer.text, Pos: t.pos, Found: t.shown(), Wanted: fmt.Sprintf(format, args...)}
}

func (p *parser) or() (node, error) {
	return p.list("or", p.and, func(parts []node, part node) []node {
		if same, ok := part.(disjunction); ok {
			return append(parts, same...)
		}
		return append(parts, part)
	}, func(parts []node) node { return disjunction(parts) })
}

func (p *parser) and() (node, error) {
	return p.list("and", p.not, func(parts []node, part node) []node {
		if same, ok := part.(conjunction); ok {
			return append(parts, same...)
		}
		return append(parts, part)
	}, func(parts []node) node { return conjunction(parts) })
}

// list reads parts with a keyword between them. add takes the parts of a list
// of the same kind as parts of this one.
func (p *parser) list(keyword string, part func() (node, error), add func([]node, node) []node, join func([]node) node) (node, error) {
	n, err := part()
	if err != nil || p.token.keyword() != keyword {
		return n, err
	}
	parts := add(nil, n)
	for p.token.keyword() == keyword {
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := part()
		if err != nil {
			return nil, err
		}
		parts = add(parts, n)
	}
	return join(parts), nil
}

func (p *parser) not() (node, error) {
	start := p.token
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(start, "more than %d parentheses and nots within each other", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case start.keyword() == "not":
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.not()
		if err != nil {
			return nil, err
		}
		if twice, ok := n.(negation); ok {
			return twice.of, nil
		}
		return negation{n}, nil
	case start.kind == opening:
		return p.parentheses()
	}
	return p.test()
}

func (p *parser) parentheses() (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token.kind != closing {
		return nil, p.fail(p.token, "want and, or, or the ) of an open (")
	}
	return n, p.advance()
}

func (p *parser) test() (node, error) {
	t, err := p.field()
	if err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind != operator {
		return p.bare(t)
	}
	t.op = p.token.text
	if err := p.advance(); err != nil {
		return nil, err
	}
	at := p.token
	if at.kind != word && at.kind != quoted {
		return nil, p.fail(at, "want a value behind %s", t.op)
	}
	if keyword := at.keyword(); keyword != "" {
		return nil, p.fail(at, `want a value behind %s; if that is one, put it in quotes: "%s"`, t.op, keyword)
	}
	var wanted string
	if t.value, wanted = readValue(t.field, t.op, at.text); wanted != "" {
		return nil, p.fail(at, "%s", wanted)
	}
	return t, p.advance()
}

// bare completes a field without operator: hold is hold=yes, label.site is
// label.site!="".
func (p *parser) bare(t *test) (node, error) {
	switch t.field.Kind() {
	case Flags:
		t.op, t.value = "=", value{text: "yes", flag: true}
	case Numbers:
		t.op, t.value = "!=", value{text: "0"}
		if t.field == Sequence {
			t.value.text = "0.0"
		}
	default:
		if t.field.Words() != nil {
			return nil, p.fail(p.token, "want = or != behind %s", t.field)
		}
		t.op = "!="
	}
	return t, nil
}

// field reads the field that the next token names.
func (p *parser) field() (*test, error) {
	at := p.token
	if at.kind != word || at.keyword() != "" {
		return nil, p.fail(at, "want a field such as type, a not, or a (")
	}
	if f, ok := byName[at.text]; ok {
		return &test{field: f}, nil
	}
	key, ok := strings.CutPrefix(at.text, labelPrefix)
	if !ok {
		return nil, p.fail(at, "want one of the fields %s", fieldNames())
	}
	if err := manifest.CheckName(key); err != nil {
		return nil, p.fail(at, "want the key of a label: %v", err)
	}
	return &test{field: Label, key: key}, nil
}

func fieldNames() string {
	var names []string
	for _, f := range Fields() {
		names = append(names, f.String())
	}
	return strings.Join(names, " ")
}
