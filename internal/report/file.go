package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// recordsMember is the last member of a report's file: the log itself.
const recordsMember = "records"

// Limits of a file.
const (
	maxHeader  = 1 << 30 // bytes of everything but the log
	maxMembers = 32
)

// ErrMalformed is wrapped by the refusal of a file that is no report.
var ErrMalformed = errors.New("not a report")

// Write writes a report as JSON, with the log that it follows from, or without
// it if records is nil.
func Write(w io.Writer, r *Report, records iter.Seq2[audit.Record, error]) error {
	head, err := json.Marshal(r, json.Deterministic(true), jsontext.WithIndent(" "))
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if records == nil {
		out.Write(append(head, '\n'))
		return out.Flush()
	}
	out.Write(head[:len(head)-len("\n}")])
	fmt.Fprintf(out, ",\n %q: [", recordsMember)
	separator := "\n"
	for record, err := range records {
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		raw, err := record.MarshalJSON()
		if err != nil {
			return fmt.Errorf("encode audit record %d: %w", record.Seq, err)
		}
		out.WriteString(separator)
		if _, err := out.Write(raw); err != nil {
			return err
		}
		separator = ",\n"
	}
	out.WriteString("\n ]\n}\n")
	return out.Flush()
}

// Read reads a report. records is the log that it carries, to be read once,
// and nil if it carries none.
func Read(r io.Reader) (report *Report, records iter.Seq2[audit.Record, error], err error) {
	dec := jsontext.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	head, hasRecords, err := readHead(dec)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	report = &Report{}
	if err := json.Unmarshal(head, report, json.RejectUnknownMembers(true)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if report.Format != Format {
		return nil, nil, fmt.Errorf("%w: format %.40q, want %q", ErrMalformed, report.Format, Format)
	}
	if hasRecords {
		records = func(yield func(audit.Record, error) bool) { readRecords(dec, yield) }
	}
	return report, records, nil
}

// readHead reads everything up to the log, which stays in dec.
func readHead(dec *jsontext.Decoder) (head jsontext.Value, hasRecords bool, err error) {
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, false, errors.Join(errors.New("want an object"), err)
	}
	head = jsontext.Value("{")
	for n := 0; dec.PeekKind() == '"'; n++ {
		name, err := dec.ReadValue()
		if err != nil {
			return nil, false, err
		}
		if string(name) == `"`+recordsMember+`"` {
			return append(head, '}'), true, nil
		}
		if n > 0 {
			head = append(head, ',')
		}
		head = append(append(head, name...), ':')
		value, err := dec.ReadValue()
		if err != nil {
			return nil, false, err
		}
		if head = append(head, value...); len(head) > maxHeader || n == maxMembers {
			return nil, false, errors.New("it is too long")
		}
	}
	return append(head, '}'), false, readEnd(dec)
}

// readEnd reads the end of the object, behind which nothing may stand.
func readEnd(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("something stands behind the report"), err)
	}
	return nil
}

func readRecords(dec *jsontext.Decoder, yield func(audit.Record, error) bool) {
	fail := func(err error) { yield(audit.Record{}, fmt.Errorf("%w: %w", ErrMalformed, err)) }
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '[' {
		fail(errors.Join(errors.New("records: want an array"), err))
		return
	}
	for dec.PeekKind() != ']' {
		raw, err := dec.ReadValue()
		if err != nil {
			fail(err)
			return
		}
		var record audit.Record
		if err := record.UnmarshalJSON(raw); err != nil {
			fail(err)
			return
		}
		if !yield(record, nil) {
			return
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		fail(err)
		return
	}
	if err := readEnd(dec); err != nil {
		fail(err)
	}
}
