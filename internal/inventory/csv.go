package inventory

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/manifest"
)

// A csvReader reads devices from CSV (RFC 4180), the first line of which names
// the columns.
type csvReader struct {
	csv     *csv.Reader
	columns []string
	line    int // of the last record
}

func newCSV(r io.Reader) (next func() (Entry, error), err error) {
	c := &csvReader{csv: csv.NewReader(r)}
	c.csv.ReuseRecord = true
	header, place, err := c.record()
	if errors.Is(err, io.EOF) {
		return nil, &Error{place, errors.New("the file is empty")}
	}
	if err != nil {
		return nil, err
	}
	c.columns = slices.Clone(header)
	for i, name := range c.columns {
		switch _, known := setters[name]; {
		case !known && !slices.Contains(reported, name):
			return nil, &Error{place, fmt.Errorf("column %q is not known: want %s", name, strings.Join(importable(), ", "))}
		case slices.Contains(c.columns[:i], name):
			return nil, &Error{place, fmt.Errorf("column %q twice", name)}
		}
	}
	for _, name := range []string{columnType, columnDevice} {
		if !slices.Contains(c.columns, name) {
			return nil, &Error{place, fmt.Errorf("no column %q", name)}
		}
	}
	return c.next, nil
}

func importable() []string {
	return []string{columnType, columnDevice, columnVendor, columnLevel, columnHardware, columnLabels, columnNote, columnHold, columnPin}
}

// record reads one line of the table, which may be several of the file.
func (c *csvReader) record() (cells []string, place Place, err error) {
	place = Place{"line", c.line + 1}
	cells, err = c.csv.Read()
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		place.Number = parse.StartLine
		return nil, place, &Error{place, parse.Err}
	case errors.Is(err, errTooLong):
		return nil, place, &Error{place, err}
	case err != nil:
		return nil, place, err
	}
	c.line, _ = c.csv.FieldPos(0)
	place.Number = c.line
	for _, cell := range cells {
		if !utf8.ValidString(cell) || strings.ContainsRune(cell, 0) {
			return nil, place, &Error{place, errors.New("it is no UTF-8 text")}
		}
	}
	return cells, place, nil
}

func (c *csvReader) next() (Entry, error) {
	cells, place, err := c.record()
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Place: place}
	for i, cell := range cells {
		set, ok := setters[c.columns[i]]
		if !ok {
			continue
		}
		if err := set(&e.ImportDevice, disarmed(cell)); err != nil {
			return Entry{}, &Error{place, fmt.Errorf("%s: %w", c.columns[i], err)}
		}
	}
	return e, nil
}

// Spreadsheets take a cell that begins like a formula for one, and a device's
// or a colleague's note could begin so. In front of such a cell stands an
// apostrophe, as people put it there by hand, and it is taken away again when
// the cell is read.
const formulaStarts = "=+-@\t\r'"

func armed(cell string) string {
	if cell != "" && strings.ContainsRune(formulaStarts, rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func disarmed(cell string) string { return strings.TrimPrefix(cell, "'") }

// A CSVWriter writes devices as CSV.
type CSVWriter struct{ csv *csv.Writer }

// NewCSVWriter writes the heading.
func NewCSVWriter(w io.Writer) (*CSVWriter, error) {
	c := &CSVWriter{csv.NewWriter(w)}
	return c, c.csv.Write(append(importable(), reported...))
}

// Write writes a device.
func (c *CSVWriter) Write(d api.Device) error {
	cells := []string{
		d.DeviceType, d.ID, d.Vendor, d.Level.String(), d.HardwareRevision, formatLabels(d.Labels), d.Note, yesNo(d.Hold), d.Pin,
		yesNo(d.UpdateNow), d.State, d.Version, "", "", "", "", d.LastEvent, d.LastErrorText, instant(d.LastSeen), instant(d.AddedAt),
	}
	if !d.LastSeen.IsZero() { // before that, these say nothing
		said := []string{d.Installed.Sequence.String(), digest(d.Installed.Digest), fmt.Sprint(d.KeysetVersion), d.Boot}
		copy(cells[len(importable())+slices.Index(reported, "sequence"):], said)
	}
	for i := range cells {
		cells[i] = armed(cells[i])
	}
	return c.csv.Write(cells)
}

// Close writes what is left.
func (c *CSVWriter) Close() error {
	c.csv.Flush()
	return c.csv.Error()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func digest(d manifest.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
