package report

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrMismatch is wrapped by the refusal of a report that says something else
// than the log.
var ErrMismatch = errors.New("the report does not follow from the audit log")

// Verify holds a report against the audit log and against the audit key: the
// checkpoint is signed by that key, the log leads up to it without a gap or a
// change (audit.BadRecordError otherwise), and everything in the report but its
// heading is what the log says (ErrMismatch). records may go on behind the
// checkpoint.
func Verify(r *Report, records iter.Seq2[audit.Record, error], key trust.PublicKey) error {
	checkpoint, err := audit.OpenCheckpoint(r.Checkpoint.Signed, key)
	if err != nil {
		return fmt.Errorf("verify report: checkpoint: %w", err)
	}
	if checkpoint.Seq != r.Checkpoint.Seq || checkpoint.Hash != r.Checkpoint.Hash {
		return fmt.Errorf("verify report: %w: the checkpoint that is signed is of record %d", ErrMismatch, checkpoint.Seq)
	}
	b := NewBuilder(r.From, r.To, r.chosen())
	if _, err := audit.VerifyChain(b.Reading(until(records, checkpoint.Seq)), []audit.Checkpoint{checkpoint}); err != nil {
		return fmt.Errorf("verify report: %w", err)
	}
	if err := r.differs(b.Report(r.Heading, r.Checkpoint.Signed)); err != nil {
		return fmt.Errorf("verify report: %w: %w", ErrMismatch, err)
	}
	return nil
}

// chosen returns the devices that the report says it is about, nil for all.
func (r *Report) chosen() []Name {
	if r.Complete {
		return nil
	}
	names := []Name{}
	for _, d := range r.Devices {
		names = append(names, Name{d.DeviceType, d.ID})
	}
	return names
}

// until ends a log behind a record. It looks at what comes next: a log that
// breaks off there in the middle of something is none.
func until(records iter.Seq2[audit.Record, error], seq int64) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		ended := false
		for record, err := range records {
			if ended && err == nil || !yield(record, err) || err != nil {
				return
			}
			ended = record.Seq == seq
		}
	}
}

// differs names the first thing that two reports say differently.
func (r *Report) differs(want *Report) error {
	if len(r.Devices) != len(want.Devices) {
		return fmt.Errorf("it has %d devices, the log has %d", len(r.Devices), len(want.Devices))
	}
	for i := range r.Devices {
		if !same(r.Devices[i], want.Devices[i]) {
			return fmt.Errorf("device %s/%s: the log says something else", want.Devices[i].DeviceType, want.Devices[i].ID)
		}
	}
	if !slices.EqualFunc(r.Types, want.Types, func(a, b Type) bool { return same(a, b) }) {
		return errors.New("the summary by device type is another")
	}
	if !same(r, want) {
		return errors.New("its frame is another")
	}
	return nil
}

// same compares two values as they are written.
func same(a, b any) bool {
	rawA, errA := json.Marshal(a, json.Deterministic(true))
	rawB, errB := json.Marshal(b, json.Deterministic(true))
	return errA == nil && errB == nil && string(rawA) == string(rawB)
}
