package fleet

import (
	"context"
	"math"

	"github.com/secure-ota/secure-ota/internal/store"
)

// SaveAll writes rows as they are, in one transaction: a large fleet for tests
// within seconds.
func (f *Fleet) SaveAll(ctx context.Context, devices []*Device) error {
	err := f.db.ChangeUnaudited(ctx, func(tx *store.Tx) error {
		for _, d := range devices {
			if err := save(tx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return f.Refresh(ctx)
}

// OpenUnread returns a fleet as Open does that has not read any device yet, and
// does nothing in the background.
func OpenUnread(ctx context.Context, cfg Config) (*Fleet, error) { return begin(ctx, cfg) }

// Read reads the devices of a fleet that was not.
func (f *Fleet) Read(ctx context.Context) error {
	err := f.load(ctx)
	close(f.loaded)
	return err
}

// SyncSeen does now what is otherwise done in the background.
func (f *Fleet) SyncSeen(ctx context.Context) error { return f.syncSeen(ctx) }

// MergeSeen merges the whole log of last-seen times into the pages, however
// short it is.
func (f *Fleet) MergeSeen(ctx context.Context) error { return f.mergeLog(ctx, 0, math.MaxInt64) }

// LogRows returns how many rows the log of last-seen times has.
func (f *Fleet) LogRows(ctx context.Context) (rows int64, err error) {
	err = f.db.View(ctx, func(tx *store.Tx) error { return tx.Get(`SELECT COUNT(*) FROM seen_log`, nil, &rows) })
	return rows, err
}
