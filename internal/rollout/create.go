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
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
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
	facts, err := e.factsOf(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := e.verifiable(ctx, spec, facts); err != nil {
		return nil, err
	}
	r := &row{id: newID(), spec: spec, facts: facts, state: Draft, createdBy: by.Name, changedBy: by.Name, why: "created"}
	err = e.db.Change(ctx, by.Entry("rollout.create", object(spec.Name)), func(tx *store.Tx) error {
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

// factsOf reads what a check has to know of the releases of a spec. It refuses
// those that do not exist or do not fit.
func (e *Engine) factsOf(ctx context.Context, spec Spec) (f facts, err error) {
	to, err := e.release(ctx, spec.DeviceType, spec.Release)
	if err != nil {
		return f, fmt.Errorf("release %s: %w", spec.Release, err)
	}
	f.Release = factsOfRelease(to)
	if spec.SendBack.IsZero() {
		return f, nil
	}
	back, err := e.release(ctx, spec.DeviceType, spec.SendBack)
	if err != nil {
		return f, fmt.Errorf("send back %s: %w", spec.SendBack, err)
	}
	from, m := to.Manifest.Manifest(), back.Manifest.Manifest()
	if !m.Downgrade() || m.Sequence <= from.Sequence || !slices.Contains(m.DowngradeFrom, from.Sequence) {
		return f, fmt.Errorf("send back %s: %w: it is no approved downgrade from %s, sequence %s", spec.SendBack, ErrRelease, from.Version, from.Sequence)
	}
	facts := factsOfRelease(back)
	f.Back = &facts
	return f, nil
}

func factsOfRelease(r repository.Release) release {
	m := r.Manifest.Manifest()
	return release{
		Running: fleet.Running{Sequence: m.Sequence, Digest: m.ImageDigest}, Hash: r.ManifestHash,
		Version: m.Version.String(), Hardware: m.HardwareRevisions,
	}
}

func (e *Engine) release(ctx context.Context, deviceType string, identity manifest.Digest) (repository.Release, error) {
	found, err := e.repo.Release(ctx, identity)
	switch {
	case errors.Is(err, repository.ErrNotFound):
		return found, fmt.Errorf("%w: it is not published", ErrRelease)
	case err != nil:
		return found, err
	case found.Manifest.Manifest().DeviceType != deviceType:
		return found, fmt.Errorf("%w: it is for %s", ErrRelease, found.Manifest.Manifest().DeviceType)
	case found.Withdrawn():
		return found, fmt.Errorf("%w: it was withdrawn", ErrRelease)
	}
	return found, nil
}
