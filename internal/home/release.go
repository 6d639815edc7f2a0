package home

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// lastSequence is the content of sequence.json.
type lastSequence struct {
	Format int               `json:"format"`
	Last   manifest.Sequence `json:"last"`
}

// LastSequence returns the last sequence that was given to a release of the
// type, 0 if none was.
func (h *Home) LastSequence(deviceType string) (manifest.Sequence, error) {
	if err := manifest.CheckName(deviceType); err != nil {
		return 0, fmt.Errorf("device type: %w", err)
	}
	var s lastSequence
	err := h.readJSON(filepath.Join("types", escape(deviceType), "sequence.json"), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil && s.Format != Format {
		err = fmt.Errorf("%w: sequence.json: format %d", ErrDamaged, s.Format)
	}
	if err != nil {
		return 0, fmt.Errorf("last sequence of %s: %w", deviceType, err)
	}
	return s.Last, nil
}

// NextSequence gives out the next sequence of a key epoch: above all that were
// given out, and above known, which is the last one known elsewhere. It is
// durable before it is used, so that no two releases share one.
func (h *Home) NextSequence(deviceType string, epoch uint32, known manifest.Sequence) (next manifest.Sequence, err error) {
	err = h.locked(func() error {
		last, err := h.LastSequence(deviceType)
		if err != nil {
			return err
		}
		last = max(last, known)
		switch {
		case last.Epoch() > epoch:
			return fmt.Errorf("next sequence of %s: %w: the last was %s, the key's epoch is %d", deviceType, trust.ErrOldSequence, last, epoch)
		case last.Epoch() < epoch:
			next = manifest.NewSequence(epoch, 1)
		case last.Number() == math.MaxUint32:
			return fmt.Errorf("next sequence of %s: %w: key epoch %d is used up", deviceType, trust.ErrOldSequence, epoch)
		default:
			next = last + 1
		}
		return h.writeSequence(deviceType, next)
	})
	if err != nil {
		return 0, err
	}
	return next, nil
}

// UseSequence notes a sequence that somebody chose. It must be above all that
// were given out.
func (h *Home) UseSequence(deviceType string, seq manifest.Sequence) error {
	return h.locked(func() error {
		last, err := h.LastSequence(deviceType)
		if err != nil {
			return err
		}
		if seq <= last {
			return fmt.Errorf("sequence %s of %s: %w: the last was %s", seq, deviceType, trust.ErrOldSequence, last)
		}
		return h.writeSequence(deviceType, seq)
	})
}

func (h *Home) writeSequence(deviceType string, seq manifest.Sequence) error {
	text, err := encodeJSON(lastSequence{Format: Format, Last: seq})
	if err != nil {
		return err
	}
	return h.write(text, "types", escape(deviceType), "sequence.json")
}

// Releases returns what was published of a type and which ways back were
// approved.
func (h *Home) Releases(deviceType string) (rollback.State, error) {
	p, err := h.protection(deviceType)
	if err != nil {
		return rollback.State{}, err
	}
	return p.State(), nil
}

// RecordRelease notes that a release was published.
func (h *Home) RecordRelease(m *manifest.Manifest, hash manifest.Digest) error {
	return h.changeReleases(m.DeviceType, func(p *rollback.Protection) error {
		return p.RecordVersionUpdate(rollback.EntryOf(m, hash))
	})
}

// AllowRollbackTo records the approval of a downgrade; see
// [rollback.State.AllowRollbackTo].
func (h *Home) AllowRollbackTo(deviceType string, v version.Version, by, why string, keysetFloor uint32) (permit rollback.Permit, err error) {
	err = h.changeReleases(deviceType, func(p *rollback.Protection) error {
		permit, err = p.AllowRollbackTo(v, by, why, keysetFloor)
		return err
	})
	return permit, err
}

func (h *Home) changeReleases(deviceType string, change func(*rollback.Protection) error) error {
	return h.locked(func() error {
		p, err := h.protection(deviceType)
		if err != nil {
			return err
		}
		if err := fsatomic.MkdirAll(h.fsys, h.path("types", escape(deviceType)), 0o700); err != nil {
			return err
		}
		return change(p)
	})
}

func (h *Home) protection(deviceType string) (*rollback.Protection, error) {
	if err := manifest.CheckName(deviceType); err != nil {
		return nil, fmt.Errorf("device type: %w", err)
	}
	return rollback.OpenFS(h.fsys, h.path("types", escape(deviceType), "rollback.json"))
}
