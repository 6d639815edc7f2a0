package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// masterName is what replicas call the fleet master of a type.
const masterName = "fleet master of "

// ensureMaster makes the fleet master of a type that has no keyed device yet.
// For one that has, a missing master is an error: a new one would lock out all
// of them.
func (f *Fleet) ensureMaster(ctx context.Context, deviceType string) error {
	keyed, err := f.hasKeyed(ctx, deviceType)
	if err != nil {
		return err
	}
	if !f.db.Shared() {
		if keyed {
			_, err = f.cfg.Masters.Load(deviceType)
		} else {
			_, err = f.cfg.Masters.LoadOrCreate(deviceType)
		}
		return err
	}
	err = f.agreeOnMaster(ctx, deviceType)
	switch {
	case errors.Is(err, auth.ErrNoMaster) && keyed: // made by another replica
		return fmt.Errorf("%w: %w", auth.ErrOtherSecret, err)
	case errors.Is(err, auth.ErrNoMaster):
		return f.createSharedMaster(ctx, deviceType)
	}
	return err
}

// createSharedMaster makes a master unless another replica has: two masters of
// one type would each refuse the devices of the other.
func (f *Fleet) createSharedMaster(ctx context.Context, deviceType string) error {
	known, err := f.agreement().Known(ctx, masterName+deviceType)
	if err != nil {
		return err
	}
	if known != nil {
		return fmt.Errorf("%s%s: %w", masterName, deviceType, auth.ErrOtherSecret)
	}
	if _, err := f.cfg.Masters.LoadOrCreate(deviceType); err != nil {
		return err
	}
	err = f.agreeOnMaster(ctx, deviceType)
	if errors.Is(err, auth.ErrOtherSecret) { // it was faster, and no device has ours
		err = errors.Join(err, f.cfg.Masters.Discard(deviceType))
	}
	return err
}

func (f *Fleet) agreement() auth.Agreement { return auth.Agreement{DB: f.db} }

func (f *Fleet) agreeOnMaster(ctx context.Context, deviceType string) error {
	master, err := f.cfg.Masters.Load(deviceType)
	if err != nil {
		return err
	}
	name := masterName + deviceType
	return f.agreement().Agree(ctx, auth.Actor{Name: "system"}, name, auth.Fingerprint(name, master[:]))
}

// checkMasters refuses to begin without the masters that other replicas have:
// this one would refuse every device of theirs.
func (f *Fleet) checkMasters(ctx context.Context) error {
	if !f.db.Shared() {
		return nil
	}
	var types []string
	err := f.db.View(ctx, func(tx *store.Tx) error {
		return tx.Each(`SELECT name FROM shared_secrets ORDER BY name`, nil, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			if deviceType, ok := strings.CutPrefix(name, masterName); ok {
				types = append(types, deviceType)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, deviceType := range types {
		err := f.agreeOnMaster(ctx, deviceType)
		if errors.Is(err, auth.ErrNoMaster) {
			err = fmt.Errorf("%w: %v", auth.ErrOtherSecret, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
