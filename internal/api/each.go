package api

import (
	"context"
	"iter"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// EachDevice calls do for the devices of a query, page by page, at most limit
// of them unless that is 0.
func EachDevice(ctx context.Context, m Management, q DeviceQuery, limit int, do func(Device) error) error {
	for n := 0; ; {
		q.Limit = MaxPage
		if limit > 0 {
			q.Limit = min(q.Limit, limit-n)
		}
		page, err := m.Devices(ctx, q)
		if err != nil {
			return err
		}
		for _, d := range page {
			if err := do(d); err != nil {
				return err
			}
		}
		if n += len(page); len(page) < q.Limit || n == limit {
			return nil
		}
		q = q.Next(page)
	}
}

// AuditLog reads the log from its first record to the one with a number, page
// by page.
func AuditLog(ctx context.Context, m Management, last int64) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for after := int64(0); ; {
			page, err := m.AuditRecords(ctx, audit.Filter{Oldest: true, After: after, Limit: MaxPage})
			if err != nil {
				yield(audit.Record{}, err)
				return
			}
			for _, r := range page {
				if r.Seq > last || !yield(r, nil) {
					return
				}
			}
			if len(page) < MaxPage {
				return
			}
			after = page[len(page)-1].Seq
		}
	}
}
