package repository

import (
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// checkRules says whether a verified manifest may join the releases of its
// type. Withdrawn releases count: devices may run them.
func checkRules(tx *store.Tx, ks *trust.Keyset, m *manifest.Manifest) error {
	published, err := lineOf(tx, m.DeviceType)
	if err != nil {
		return err
	}
	floor := ks.SecurityFloor
	var original *line
	for _, p := range published {
		if p.sequence >= m.Sequence {
			return fmt.Errorf("%w: %w: %s, and release %s has %s", ErrSequence, trust.ErrOldSequence, m.Sequence, p.version, p.sequence)
		}
		if p.sequence.Epoch() == m.Sequence.Epoch() {
			floor = max(floor, p.counter)
		}
		if p.component != m.Component || p.downgrade {
			continue
		}
		if p.version == m.Version {
			original = &p
		}
		if !m.Downgrade() && version.Compare(m.Version, p.version) <= 0 {
			return fmt.Errorf("%w: %w: %s, and %s is published", ErrVersion, trust.ErrOldVersion, m.Version, p.version)
		}
	}
	if m.SecurityCounter < floor {
		return fmt.Errorf("%w: %w: counter %d, floor %d", ErrBelowFloor, trust.ErrBelowFloor, m.SecurityCounter, floor)
	}
	if !m.Downgrade() {
		return nil
	}
	// One version, one image: a downgrade brings code back that is known.
	if original == nil {
		return fmt.Errorf("%w: version %s is not published", ErrDowngrade, m.Version)
	}
	if original.image != m.ImageDigest {
		return fmt.Errorf("%w: version %s has image %s, not %s", ErrDowngrade, m.Version, original.image, m.ImageDigest)
	}
	return nil
}

// A line is what the rules look at in a published release.
type line struct {
	component string
	sequence  manifest.Sequence
	version   version.Version
	downgrade bool
	counter   uint32
	image     manifest.Digest
}

func lineOf(tx *store.Tx, deviceType string) (lines []line, err error) {
	err = tx.Each(`SELECT component, key_epoch, release_number, version, downgrade, security_counter, image_digest
		FROM releases WHERE device_type = $1`, []any{deviceType}, func(scan func(...any) error) error {
		var l line
		var epoch, number uint32
		var text string
		var image []byte
		if err := scan(&l.component, &epoch, &number, &text, &l.downgrade, &l.counter, &image); err != nil {
			return err
		}
		l.sequence = manifest.NewSequence(epoch, number)
		copy(l.image[:], image)
		var err error
		if l.version, err = version.Parse(text); err != nil {
			return fmt.Errorf("release %s of %s: %w: %w", l.sequence, deviceType, ErrDamaged, err)
		}
		lines = append(lines, l)
		return nil
	})
	return lines, err
}

// verify checks the signatures of a manifest under the latest keyset of its
// type, and finds the words for a signature that does not count.
func (r *Repository) verify(tx *store.Tx, raw []byte) (heldKeyset, trust.VerifiedManifest, error) {
	claimed, signatures, err := trust.ParseManifest(raw)
	if err != nil {
		return heldKeyset{}, trust.VerifiedManifest{}, err
	}
	latest, err := r.latestKeyset(tx, claimed.DeviceType)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("device type %s: %w", claimed.DeviceType, ErrUnknownType)
	}
	if err != nil {
		return heldKeyset{}, trust.VerifiedManifest{}, err
	}
	verified, err := r.verifyManifest(latest, raw)
	switch {
	case err != nil && len(signatures) == 0:
		err = fmt.Errorf("%w: %w", ErrUnsigned, err)
	case errors.Is(err, trust.ErrNotEnoughSigners):
		err = r.diagnose(tx, raw, claimed.DeviceType, err)
	}
	return latest, verified, err
}

// diagnose says by whose key a manifest is signed, if not by enough keys of
// its own type. A hint alone proves nothing: the signature must hold.
func (r *Repository) diagnose(tx *store.Tx, raw []byte, deviceType string, cause error) error {
	types, err := deviceTypes(tx)
	if err != nil {
		return err
	}
	for _, t := range types {
		keysets, err := r.keysetsOf(tx, t)
		if err != nil {
			return err
		}
		for _, h := range keysets {
			switch {
			case !signedUnder(h, raw):
			case t == deviceType:
				return fmt.Errorf("%w: the signature counted under keyset version %d: %w", ErrRevokedKey, h.Keyset().Version, cause)
			default:
				return fmt.Errorf("%w: the signature is that of %s: %w", ErrWrongTypeKey, t, cause)
			}
		}
	}
	return cause
}

// signedUnder reports whether the signatures of a manifest hold under a
// keyset, whatever else is wrong. VerifyManifest looks at them first.
func signedUnder(h heldKeyset, raw []byte) bool {
	_, err := h.VerifyManifest(raw, h.keys)
	return !errors.Is(err, trust.ErrNotEnoughSigners) && !errors.Is(err, trust.ErrBadSignature)
}
