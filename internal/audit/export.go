package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// timeLayout is how records spell their time: RFC 3339, UTC, milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// MaxLine is the longest line of an export, in bytes.
const MaxLine = 6*(MaxActor+MaxAction+MaxObject+MaxAddress) + 2*MaxJSON + 1024

// ErrMalformed is wrapped by the refusal of a line that is no record.
var ErrMalformed = errors.New("malformed audit record")

// line is a record as one line of JSON.
type line struct {
	Seq      int64          `json:"seq"`
	Time     string         `json:"time"`
	Actor    string         `json:"actor"`
	Action   string         `json:"action"`
	Object   string         `json:"object"`
	Address  string         `json:"address"`
	Before   jsontext.Value `json:"before"` // null: none
	After    jsontext.Value `json:"after"`
	PrevHash *Hash          `json:"prev_hash"`
	Hash     *Hash          `json:"hash"`
}

// MarshalJSON returns the record as an export has it.
func (r Record) MarshalJSON() ([]byte, error) {
	return json.Marshal(line{
		Seq: r.Seq, Time: r.Time.UTC().Format(timeLayout), Actor: r.Actor, Action: r.Action, Object: r.Object, Address: r.Address,
		Before: orNull(r.Before), After: orNull(r.After), PrevHash: &r.PrevHash, Hash: &r.Hash,
	}, jsontext.PreserveRawStrings(true)) // the hash covers the spelling of Before and After
}

// UnmarshalJSON strictly reads what MarshalJSON writes: unknown and duplicate
// members are refused. It verifies no hash.
func (r *Record) UnmarshalJSON(raw []byte) error {
	var l line
	if err := json.Unmarshal(raw, &l, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	at, err := time.Parse(timeLayout, l.Time)
	if err != nil || at.UTC().Format(timeLayout) != l.Time || at.UnixMilli() < 0 {
		return fmt.Errorf("%w: time %q, want the form %s", ErrMalformed, l.Time, timeLayout)
	}
	if l.Seq < 1 || l.Seq == math.MaxInt64 || l.PrevHash == nil || l.Hash == nil || l.Before == nil || l.After == nil {
		return fmt.Errorf("%w: a member is missing or out of range", ErrMalformed)
	}
	e := Entry{Actor: l.Actor, Action: l.Action, Object: l.Object, Address: l.Address, Before: orNone(l.Before), After: orNone(l.After)}
	if err := e.Normalize(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	*r = Record{Seq: l.Seq, Time: at.UTC(), Entry: e, PrevHash: *l.PrevHash, Hash: *l.Hash}
	return nil
}

func orNull(v jsontext.Value) jsontext.Value {
	if len(v) == 0 {
		return jsontext.Value("null")
	}
	return v
}

func orNone(v jsontext.Value) jsontext.Value {
	if string(v) == "null" {
		return nil
	}
	return v
}

// Export writes records to w, one line of JSON each.
func Export(w io.Writer, records iter.Seq2[Record, error]) error {
	buffered := bufio.NewWriter(w)
	for r, err := range records {
		if err != nil {
			return fmt.Errorf("export audit log: %w", err)
		}
		raw, err := r.MarshalJSON()
		if err != nil {
			return fmt.Errorf("export audit record %d: %w", r.Seq, err)
		}
		if _, err := buffered.Write(append(raw, '\n')); err != nil {
			return fmt.Errorf("export audit log: %w", err)
		}
	}
	return buffered.Flush()
}

// Import yields the records of an export, as Verify reads them. It stops at
// the first line that is no record.
func Import(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), MaxLine)
		for n := 1; lines.Scan(); n++ {
			var record Record
			if err := record.UnmarshalJSON(lines.Bytes()); err != nil {
				yield(Record{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(record, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Record{}, fmt.Errorf("read audit export: %w", err))
		}
	}
}
