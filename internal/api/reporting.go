package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/report"
)

// A ReportQuery asks what ran where.
type ReportQuery struct {
	From, To time.Time // To is not in it any more
	Filter   string    // of devices, as they are now (docs/filters.md); empty: all
	MadeAt   time.Time
}

// MakeReport reads the audit log up to a new checkpoint, verifies it on the
// way, and returns the report with the log that it follows from, which is read
// again when the report is written.
func MakeReport(ctx context.Context, m Management, q ReportQuery) (*report.Report, iter.Seq2[audit.Record, error], error) {
	info, err := m.Info(ctx)
	if err != nil {
		return nil, nil, err
	}
	checkpoint, err := m.AuditCheckpoint(ctx)
	if err != nil {
		return nil, nil, err
	}
	chosen, err := chosenForReport(ctx, m, q.Filter)
	if err != nil {
		return nil, nil, err
	}
	b := report.NewBuilder(q.From, q.To, chosen)
	log := AuditLog(ctx, m, checkpoint.Seq)
	// A report of a log that does not hold would be refused by whoever gets it.
	_, err = audit.VerifyChain(b.Reading(log), []audit.Checkpoint{{Seq: checkpoint.Seq, Hash: checkpoint.Hash}})
	var bad *audit.BadRecordError
	if errors.As(err, &bad) {
		err = fmt.Errorf("%w: %w", ErrAuditBroken, err)
	}
	if err != nil {
		return nil, nil, err
	}
	heading := report.Heading{Vendor: info.Vendor, Filter: q.Filter, MadeAt: q.MadeAt.UTC().Truncate(time.Second)}
	return b.Report(heading, checkpoint.Signed), log, nil
}

// chosenForReport returns the devices that a filter selects, nil for all.
func chosenForReport(ctx context.Context, m Management, filter string) ([]report.Name, error) {
	if filter == "" {
		return nil, nil
	}
	names := []report.Name{}
	err := EachDevice(ctx, m, DeviceQuery{Filter: filter}, 0, func(d Device) error {
		names = append(names, report.Name{DeviceType: d.DeviceType, ID: d.ID})
		return nil
	})
	return names, err
}
