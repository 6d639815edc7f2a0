package rollout

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/repository"
)

// Create makes a draft.
func (e *Engine) Create(ctx context.Context, by auth.Actor, spec Spec) (Rollout, error) {
	spec = spec.WithDefaults()
	r, err := e.create(ctx, by, spec)
	if err != nil {
		return Rollout{}, fmt.Errorf("create rollout %s: %w", spec.Name, err)
	}
	return e.Show(ctx, r.spec.Name)
}

func (e *Engine) create(ctx context.Context, by auth.Actor, spec Spec) (*row, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := e.admissible(ctx, spec); err != nil {
		return nil, err
	}
	r := &row{id: newID(), spec: spec, state: Draft, createdBy: by.Name, changedBy: by.Name, why: "created"}
	err := e.db.Change(ctx, by.Entry("rollout.create", object(spec.Name)), func(tx *store.Tx) error {
		revision, err := touch(tx)
		if err != nil {
			return err
		}
		r.createdAt, r.changedAt, r.revision = tx.Now(), tx.Now(), revision
		tx.Audit().After = audit.JSON(spec)
		return r.insert(tx)
	})
	return r, err
}

// newID returns an id that nobody can choose: it decides which devices come
// first.
func newID() string {
	id := make([]byte, 8)
	rand.Read(id)
	return hex.EncodeToString(id)
}

func object(name string) string { return "rollout:" + name }

// admissible refuses a spec whose releases do not exist or do not fit.
func (e *Engine) admissible(ctx context.Context, spec Spec) error {
	release, err := e.release(ctx, spec.DeviceType, "release", spec.Release)
	if err != nil || spec.SendBack.IsZero() {
		return err
	}
	back, err := e.release(ctx, spec.DeviceType, "send back", spec.SendBack)
	if err != nil {
		return err
	}
	from, m := release.Manifest.Manifest(), back.Manifest.Manifest()
	if !m.Downgrade() || m.Sequence <= from.Sequence || !slices.Contains(m.DowngradeFrom, from.Sequence) {
		return fmt.Errorf("send back: %w: %s is no approved downgrade from %s, sequence %s", ErrRelease, spec.SendBack, from.Version, from.Sequence)
	}
	return nil
}

func (e *Engine) release(ctx context.Context, deviceType, what string, identity [32]byte) (repository.Release, error) {
	release, err := e.repo.Release(ctx, identity)
	switch {
	case errors.Is(err, repository.ErrNotFound):
		return release, fmt.Errorf("%s %x: %w: it is not published", what, identity, ErrRelease)
	case err != nil:
		return release, err
	case release.Manifest.Manifest().DeviceType != deviceType:
		return release, fmt.Errorf("%s %x: %w: it is for %s", what, identity, ErrRelease, release.Manifest.Manifest().DeviceType)
	case release.Withdrawn():
		return release, fmt.Errorf("%s %x: %w: it was withdrawn", what, identity, ErrRelease)
	}
	return release, nil
}
