// Package record is how commands say what they found: named values in order,
// printed as aligned text for people or as JSON for programs. Both come from
// the same values, so neither can tell what the other does not.
package record

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Record is a list of fields, in the order in which they are shown.
type Record []Field

// A Field is one named value: text, a number, a bool, []byte (shown in hex), a
// [fmt.Stringer], a Record, or a slice of these.
type Field struct {
	Name  string // lower case words; in JSON joined by underscores
	Value any
	Note  string // for people only, after the value
}

// A Table is a list of records with the same fields.
type Table []Record

// Add appends a field.
func (r *Record) Add(name string, value any) { *r = append(*r, Field{Name: name, Value: value}) }

// Addn appends a field with a note for people.
func (r *Record) Addn(name string, value any, note string) {
	*r = append(*r, Field{Name: name, Value: value, Note: note})
}

// Get returns the value of a field, nil if there is none.
func (r Record) Get(name string) any {
	for _, f := range r {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// MarshalJSONTo writes the record as an object.
func (r Record) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, f := range r {
		if err := enc.WriteToken(jsontext.String(strings.ReplaceAll(f.Name, " ", "_"))); err != nil {
			return err
		}
		value := f.Value
		switch v := value.(type) {
		case []byte:
			value = hex.EncodeToString(v)
		case fmt.Stringer:
			value = v.String()
		}
		if err := json.MarshalEncode(enc, value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// WriteJSON writes v, a Record or Table, as indented JSON and a newline.
func WriteJSON(w io.Writer, v any) error {
	if t, ok := v.(Table); ok && t == nil {
		v = Table{} // no entries are [], not null
	}
	var out bytes.Buffer
	if err := json.MarshalWrite(&out, v, jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

// WriteText writes the record for people: one field a line, values aligned.
func (r Record) WriteText(w io.Writer) error {
	var out bytes.Buffer
	r.text(&out, "")
	_, err := w.Write(out.Bytes())
	return err
}

func (r Record) text(out *bytes.Buffer, indent string) {
	width := 0
	for _, f := range r {
		width = max(width, utf8.RuneCountInString(oneLine(f.Name)))
	}
	for _, f := range r {
		name := oneLine(f.Name)
		switch v := f.Value.(type) {
		case Record:
			fmt.Fprintf(out, "%s%s\n", indent, name)
			v.text(out, indent+"  ")
		case Table:
			if len(v) == 0 {
				fmt.Fprintf(out, "%s%-*s  -\n", indent, width, name)
				continue
			}
			fmt.Fprintf(out, "%s%s\n", indent, name)
			v.text(out, indent+"  ")
		default:
			fmt.Fprintf(out, "%s%-*s  %s", indent, width, name, lines(show(v), indent, width+2))
			if f.Note != "" {
				fmt.Fprintf(out, "  (%s)", oneLine(f.Note))
			}
			out.WriteByte('\n')
		}
	}
}

// WriteText writes the table for people: a heading and a line for each record.
func (t Table) WriteText(w io.Writer) error {
	var out bytes.Buffer
	t.text(&out, "")
	_, err := w.Write(out.Bytes())
	return err
}

func (t Table) text(out *bytes.Buffer, indent string) {
	if len(t) == 0 {
		return
	}
	rows := [][]string{{}}
	for _, f := range t[0] {
		rows[0] = append(rows[0], strings.ToUpper(f.Name))
	}
	for _, r := range t {
		var row []string
		for _, f := range r {
			row = append(row, oneLine(show(f.Value)))
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}

// show returns a value as text that is safe on a terminal.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		return orDash(Clean(v))
	case []byte:
		return orDash(hex.EncodeToString(v))
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []string:
		return orDash(Clean(strings.Join(v, ", ")))
	default:
		return Clean(fmt.Sprint(v))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// lines indents the second and later lines of a value to the column of the first.
func lines(s, indent string, column int) string {
	return strings.ReplaceAll(s, "\n", "\n"+indent+strings.Repeat(" ", column))
}

// oneLine is Clean for what must not begin a line of its own, which could pass
// for another field.
func oneLine(s string) string { return strings.ReplaceAll(Clean(s), "\n", " ") }

// Clean escapes what could move the cursor or turn the direction of writing:
// objects from elsewhere are shown on the terminals of people with keys.
func Clean(s string) string {
	safe := func(r rune) bool { return r == '\n' || unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 && utf8.ValidString(s) {
		return s
	}
	var out strings.Builder
	for _, r := range s {
		if safe(r) {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}
