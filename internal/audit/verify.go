package audit

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/trust"
)

// A BadRecordError names the first record that contradicts the log. Every
// record up to Confirmed is vouched for by a checkpoint. If Confirmed is not
// the record just before, and somebody gave rewritten records new hashes that
// fit, the first bad record may be any of those between.
type BadRecordError struct {
	Seq       int64
	Confirmed int64 // seq; 0: no checkpoint vouches for any
	Why       string
}

// Error names the record and what is wrong with it.
func (e *BadRecordError) Error() string {
	return fmt.Sprintf("audit record %d %s (a checkpoint vouches for the records up to %d)", e.Seq, e.Why, e.Confirmed)
}

// A Summary says what Verify has seen.
type Summary struct {
	Records     int64     // verified
	Head        Hash      // of the newest
	Newest      time.Time // time of the newest
	Checkpoints int       // that matched
	Confirmed   int64     // seq of the newest record that a checkpoint confirms; 0: none
}

// Verify reads a log from its first record to its newest one and holds it
// against signed checkpoints, in any order: those stored beside the log and,
// worth more, those exported earlier to a place that an intruder could not
// reach. A record that was changed, removed, inserted or moved is a
// *BadRecordError, and so is a log that ends before a checkpoint. A checkpoint
// that is not signed by key is refused before any record is read.
func Verify(records iter.Seq2[Record, error], checkpoints [][]byte, key trust.PublicKey) (Summary, error) {
	var opened []Checkpoint
	for i, raw := range checkpoints {
		c, err := OpenCheckpoint(raw, key)
		if err != nil {
			return Summary{}, fmt.Errorf("checkpoint %d of %d: %w", i+1, len(checkpoints), err)
		}
		opened = append(opened, c)
	}
	return VerifyChain(records, opened)
}

// VerifyChain is Verify with checkpoints whose signatures are somebody else's
// concern.
func VerifyChain(records iter.Seq2[Record, error], checkpoints []Checkpoint) (Summary, error) {
	pending := slices.Clone(checkpoints)
	slices.SortStableFunc(pending, func(a, b Checkpoint) int { return int(min(1, max(-1, a.Seq-b.Seq))) })
	var s Summary
	for r, err := range records {
		if err != nil {
			return s, fmt.Errorf("read audit record %d: %w", s.Records+1, err)
		}
		if err := s.follow(r); err != nil {
			return s, err
		}
		for len(pending) > 0 && pending[0].Seq == r.Seq {
			if pending[0].Hash != r.Hash {
				return s, s.bad(r.Seq, "is not the one that was signed in the checkpoint of %s", stamp(pending[0].Time))
			}
			s.Checkpoints++
			s.Confirmed = r.Seq
			pending = pending[1:]
		}
	}
	if len(pending) > 0 {
		return s, s.bad(s.Records+1, "is missing: the log ends here, but the checkpoint of %s is of record %d", stamp(pending[0].Time), pending[0].Seq)
	}
	return s, nil
}

// follow checks that r is the next record.
func (s *Summary) follow(r Record) error {
	next := s.Records + 1
	switch {
	case r.Seq > next:
		return s.bad(next, "is missing: record %d stands in its place", r.Seq)
	case r.Seq < next:
		return s.bad(next, "is not where it belongs: record %d stands in its place", r.Seq)
	case r.ComputeHash() != r.Hash:
		return s.bad(next, "was changed: it does not hash to its own hash")
	case r.PrevHash != s.Head:
		return s.bad(next, "does not follow record %d: one of the two was changed or replaced", next-1)
	}
	s.Records, s.Head, s.Newest = next, r.Hash, r.Time
	return nil
}

func (s *Summary) bad(seq int64, format string, args ...any) error {
	return &BadRecordError{Seq: seq, Confirmed: s.Confirmed, Why: fmt.Sprintf(format, args...)}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
