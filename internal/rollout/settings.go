package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// Types returns the settings of every device type that has a keyset, in the
// order of their names.
func (e *Engine) Types(ctx context.Context) ([]TypeSettings, error) {
	names, err := e.repo.Types(ctx)
	if err != nil {
		return nil, fmt.Errorf("list device types: %w", err)
	}
	list := []TypeSettings{}
	err = e.db.View(ctx, func(tx *store.Tx) error {
		for _, name := range slices.Sorted(slices.Values(names)) {
			settings, err := loadType(tx, name)
			if err != nil {
				return err
			}
			list = append(list, settings)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list device types: %w", err)
	}
	return list, nil
}

// Type returns the settings of one device type.
func (e *Engine) Type(ctx context.Context, deviceType string) (settings TypeSettings, err error) {
	if err := e.known(ctx, deviceType); err != nil {
		return settings, err
	}
	err = e.db.View(ctx, func(tx *store.Tx) error {
		settings, err = loadType(tx, deviceType)
		return err
	})
	if err != nil {
		return settings, fmt.Errorf("device type %s: %w", deviceType, err)
	}
	return settings, nil
}

func (e *Engine) known(ctx context.Context, deviceType string) error {
	names, err := e.repo.Types(ctx)
	if err == nil && !slices.Contains(names, deviceType) {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("device type %q: %w", deviceType, err)
	}
	return nil
}

// SetType changes the settings of a device type.
func (e *Engine) SetType(ctx context.Context, by auth.Actor, s TypeSettings) (TypeSettings, error) {
	if err := e.known(ctx, s.DeviceType); err != nil {
		return s, err
	}
	if s.Offer != Newest && s.Offer != Rollouts {
		return s, fmt.Errorf("device type %s: %w: offer %q: want %s or %s", s.DeviceType, ErrInvalid, s.Offer, Newest, Rollouts)
	}
	if !s.SupportEnd.IsZero() {
		s.SupportEnd = s.SupportEnd.UTC().Truncate(day)
	}
	err := e.db.Change(ctx, by.Entry("type.set", "type:"+s.DeviceType), func(tx *store.Tx) error {
		if _, err := touch(tx); err != nil {
			return err
		}
		before, err := loadType(tx, s.DeviceType)
		if err != nil {
			return err
		}
		if before == s {
			return store.NoChange
		}
		if s.Offer == Newest {
			if err := noneDecides(tx, s.DeviceType); err != nil {
				return err
			}
		}
		tx.Audit().Before, tx.Audit().After = audit.JSON(before), audit.JSON(s)
		return saveType(tx, s)
	})
	if err == nil {
		err = e.Refresh(ctx) // what is published next waits for rollouts from the first check on
	}
	if err != nil {
		return s, fmt.Errorf("device type %s: %w", s.DeviceType, err)
	}
	return s, nil
}

// noneDecides refuses to let every release go to all devices while a rollout
// holds one back.
func noneDecides(tx *store.Tx, deviceType string) error {
	var names []string
	list, err := readRows(tx, `WHERE device_type = $1 ORDER BY name`, deviceType)
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.state.decides() && r.state != Completed || r.state == Awaiting {
			names = append(names, r.spec.Name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s", ErrActive, joined(names))
	}
	return nil
}

// loadType returns the settings of a device type: the defaults, if nobody has
// changed them.
func loadType(tx *store.Tx, deviceType string) (TypeSettings, error) {
	s := TypeSettings{DeviceType: deviceType, Offer: Newest}
	var offer string
	var critical, supportEnd int64
	err := tx.Get(`SELECT offer, critical, support_end_ms FROM device_types WHERE device_type = $1`, []any{deviceType}, &offer, &critical, &supportEnd)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	s.Offer, s.Critical, s.SupportEnd = Offer(offer), critical != 0, timeOf(supportEnd)
	return s, err
}

func saveType(tx *store.Tx, s TypeSettings) error {
	_, err := tx.Exec(`INSERT INTO device_types (device_type, offer, critical, support_end_ms) VALUES ($1, $2, $3, $4)
		ON CONFLICT (device_type) DO UPDATE SET offer = excluded.offer, critical = excluded.critical, support_end_ms = excluded.support_end_ms`,
		s.DeviceType, string(s.Offer), flag(s.Critical), millis(s.SupportEnd))
	return err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Supported reports whether t is not after the last day of support.
func (s TypeSettings) Supported(t time.Time) bool {
	return s.SupportEnd.IsZero() || t.Before(s.SupportEnd.Add(day))
}
