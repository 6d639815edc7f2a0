package fleet

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// populateBatch is how many devices are added in one transaction.
const populateBatch = 1000

// A Seed is a device as if it had been in the field for a while.
type Seed struct {
	NewDevice
	Installed     Running
	KeysetVersion uint32
}

// Populate adds many devices with keys at once, for simulations and
// benchmarks: those of a batch share a record of the audit log, and what is
// there already is an error. The secrets of a device are those that its type's
// master gives.
func (f *Fleet) Populate(ctx context.Context, by auth.Actor, deviceType string, count int, seed func(i int) Seed) error {
	sample := &Device{Ref: Ref{deviceType, "sample"}, Level: Keyed, Generation: 1}
	if _, _, err := f.prepare(ctx, sample); err != nil {
		return fmt.Errorf("populate %s: %w", deviceType, err)
	}
	for from := 0; from < count; from += populateBatch {
		batch := make([]*Device, min(populateBatch, count-from))
		for i := range batch {
			s := seed(from + i)
			batch[i] = &Device{
				Ref: Ref{deviceType, s.ID}, Vendor: sample.Vendor, Level: Keyed, Generation: 1, HardwareRevision: s.HardwareRevision,
				Labels: s.Labels, Installed: s.Installed, KeysetVersion: s.KeysetVersion,
			}
			if err := s.NewDevice.validate(); err != nil {
				return fmt.Errorf("populate %s: %w: %v", deviceType, ErrInvalid, err)
			}
		}
		if err := f.addBatch(ctx, by, deviceType, batch); err != nil {
			return fmt.Errorf("populate %s: %w", deviceType, err)
		}
	}
	return nil
}

func (f *Fleet) addBatch(ctx context.Context, by auth.Actor, deviceType string, batch []*Device) error {
	err := f.db.Change(ctx, by.Entry("device.populate", "type:"+deviceType), func(tx *store.Tx) error {
		tx.Audit().After = audit.JSON(map[string]any{"devices": len(batch), "first": batch[0].ID})
		revision, err := touched(tx, topicDevices)
		if err != nil {
			return err
		}
		for _, d := range batch {
			number, err := touched(tx, topicNumbers)
			if err != nil {
				return err
			}
			d.AddedAt, d.revision, d.number = tx.Now(), revision, uint32(number)
			if err := write(tx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range batch {
		f.adopt(d)
	}
	return nil
}
