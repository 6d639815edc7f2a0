package fleet

import (
	"context"

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
