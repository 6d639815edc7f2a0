package repository

import (
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// checkRules says whether a verified manifest may join the releases of its
// type. Withdrawn releases count: devices may run them. As nothing gets in that
// breaks these rules, the newest release has the highest sequence and the
// highest counter of its epoch, and the newest that is no downgrade the highest
// version of its component.
func checkRules(tx *store.Tx, ks *trust.Keyset, m *manifest.Manifest) error {
	newest, err := findLine(tx, `device_type = $1`, m.DeviceType)
	if err != nil {
		return err
	}
	floor := ks.SecurityFloor
	if newest != nil {
		if newest.sequence >= m.Sequence {
			return fmt.Errorf("%w: %w: %s, and release %s has %s", ErrSequence, trust.ErrOldSequence, m.Sequence, newest.version, newest.sequence)
		}
		if newest.sequence.Epoch() == m.Sequence.Epoch() {
			floor = max(floor, newest.counter)
		}
	}
	if m.Downgrade() {
		err = checkDowngrade(tx, m)
	} else {
		err = checkVersion(tx, m)
	}
	if err == nil && m.SecurityCounter < floor {
		err = fmt.Errorf("%w: %w: counter %d, floor %d", ErrBelowFloor, trust.ErrBelowFloor, m.SecurityCounter, floor)
	}
	return err
}

func checkVersion(tx *store.Tx, m *manifest.Manifest) error {
	newest, err := findLine(tx, `device_type = $1 AND component = $2 AND downgrade = 0`, m.DeviceType, m.Component)
	if err != nil {
		return err
	}
	if newest != nil && version.Compare(m.Version, newest.version) <= 0 {
		return fmt.Errorf("%w: %w: %s, and %s is published", ErrVersion, trust.ErrOldVersion, m.Version, newest.version)
	}
	return nil
}

// checkDowngrade sees to it that a version has one image: a downgrade brings
// code back that is known.
func checkDowngrade(tx *store.Tx, m *manifest.Manifest) error {
	original, err := findLine(tx, `device_type = $1 AND component = $2 AND downgrade = 0 AND version = $3`, m.DeviceType, m.Component, m.Version.String())
	if err != nil {
		return err
	}
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
	sequence manifest.Sequence
	version  version.Version
	counter  uint32
	image    manifest.Digest
}

// findLine returns the newest release of those that where selects, nil if
// there is none.
func findLine(tx *store.Tx, where string, args ...any) (*line, error) {
	var l line
	var epoch, number uint32
	var text string
	var image []byte
	err := tx.Get(`SELECT key_epoch, release_number, version, security_counter, image_digest FROM releases
		WHERE `+where+` ORDER BY key_epoch DESC, release_number DESC LIMIT 1`, args, &epoch, &number, &text, &l.counter, &image)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l.sequence = manifest.NewSequence(epoch, number)
	copy(l.image[:], image)
	if l.version, err = version.Parse(text); err != nil {
		return nil, fmt.Errorf("release %s: %w: %w", l.sequence, ErrDamaged, err)
	}
	return &l, nil
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
		err = r.diagnose(tx, raw, latest, signatures, err)
	}
	return latest, verified, err
}

// diagnose says by whose key a manifest is signed, if not by enough keys of
// its own type. A hint alone proves nothing: the signature must hold.
func (r *Repository) diagnose(tx *store.Tx, raw []byte, latest heldKeyset, signatures []cose.Signature, cause error) error {
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
			case t != latest.Keyset().DeviceType:
				return fmt.Errorf("%w: the signature is that of %s: %w", ErrWrongTypeKey, t, cause)
			case !latest.lists(signatures): // else there are just too few
				return fmt.Errorf("%w: the signature counted under keyset version %d: %w", ErrRevokedKey, h.Keyset().Version, cause)
			}
		}
	}
	return cause
}

// lists reports whether one of the signatures names a release key of the
// keyset.
func (h heldKeyset) lists(signatures []cose.Signature) bool {
	return slices.ContainsFunc(signatures, func(s cose.Signature) bool {
		return slices.ContainsFunc(h.Keyset().Releases, func(k trust.SignerKey) bool { return k.ID.KID() == s.KID })
	})
}

// signedUnder reports whether the signatures of a manifest hold under a
// keyset, whatever else is wrong. VerifyManifest looks at them first.
func signedUnder(h heldKeyset, raw []byte) bool {
	_, err := h.VerifyManifest(raw, h.keys)
	return !errors.Is(err, trust.ErrNotEnoughSigners) && !errors.Is(err, trust.ErrBadSignature)
}
