package home

import (
	"crypto/sha256"
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
	Of     manifest.Digest   `json:"of"` // identity of the release that it was given to
}

// LastSequence returns the last sequence that was given to a release of the
// type, 0 if none was.
func (h *Home) LastSequence(deviceType string) (manifest.Sequence, error) {
	s, err := h.lastSequence(deviceType)
	return s.Last, err
}

func (h *Home) lastSequence(deviceType string) (lastSequence, error) {
	if err := manifest.CheckName(deviceType); err != nil {
		return lastSequence{}, fmt.Errorf("device type: %w", err)
	}
	s := lastSequence{Format: Format}
	err := h.readJSON(filepath.Join("types", escape(deviceType), "sequence.json"), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil && s.Format != Format {
		err = fmt.Errorf("%w: sequence.json: format %d", ErrDamaged, s.Format)
	}
	if err != nil {
		return s, fmt.Errorf("last sequence of %s: %w", deviceType, err)
	}
	return s, nil
}

// NextSequence gives a release, but for its sequence complete, the next one of
// a key epoch: above all that were given out, and above known, which is the
// last one known to be published. It is durable before it is used, so that no
// two releases share one. With again the very release that had the last one,
// and was not published, gets it again: a publication that broke off and is
// begun anew uses up one number.
func (h *Home) NextSequence(m *manifest.Manifest, epoch uint32, known manifest.Sequence, again bool) error {
	return h.giveSequence(m, func(last lastSequence) (manifest.Sequence, error) {
		if again && known < last.Last && last.Last.Epoch() == epoch && last.isOf(m) {
			return last.Last, nil
		}
		newest := max(last.Last, known)
		switch {
		case newest.Epoch() > epoch:
			return 0, fmt.Errorf("next sequence of %s: %w: the last was %s, the key's epoch is %d", m.DeviceType, trust.ErrOldSequence, newest, epoch)
		case newest.Epoch() < epoch:
			return manifest.NewSequence(epoch, 1), nil
		case newest.Number() == math.MaxUint32:
			return 0, fmt.Errorf("next sequence of %s: %w: key epoch %d is used up", m.DeviceType, trust.ErrOldSequence, epoch)
		}
		return newest + 1, nil
	})
}

// UseSequence gives a release a sequence that somebody chose. It must be above
// all that were given out, or that of this very release.
func (h *Home) UseSequence(m *manifest.Manifest, seq manifest.Sequence) error {
	return h.giveSequence(m, func(last lastSequence) (manifest.Sequence, error) {
		if seq < last.Last || seq == last.Last && !last.isOf(m) {
			return 0, fmt.Errorf("sequence %s of %s: %w: the last was %s", seq, m.DeviceType, trust.ErrOldSequence, last.Last)
		}
		return seq, nil
	})
}

func (h *Home) giveSequence(m *manifest.Manifest, choose func(last lastSequence) (manifest.Sequence, error)) error {
	return h.locked(func() error {
		last, err := h.lastSequence(m.DeviceType)
		if err != nil {
			return err
		}
		seq, err := choose(last)
		if err != nil {
			return err
		}
		given := lastSequence{Format: Format, Last: seq}
		if given.Of, err = identity(m, seq); err != nil {
			return err
		}
		if given != last {
			text, err := encodeJSON(given)
			if err != nil {
				return err
			}
			if err := h.write(text, "types", escape(m.DeviceType), "sequence.json"); err != nil {
				return err
			}
		}
		m.Sequence = seq
		return nil
	})
}

// isOf reports whether the sequence was given to m.
func (s lastSequence) isOf(m *manifest.Manifest) bool {
	id, err := identity(m, s.Last)
	return err == nil && id == s.Of
}

// identity is what [trust.VerifiedManifest.Identity] will be of m with a sequence.
func identity(m *manifest.Manifest, seq manifest.Sequence) (manifest.Digest, error) {
	numbered := *m
	numbered.Sequence = seq
	payload, err := numbered.Encode()
	return sha256.Sum256(payload), err
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
