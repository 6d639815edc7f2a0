package home

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrNoKeyset means that a device type has no signed keyset yet.
var ErrNoKeyset = errors.New("the device type has no signed keyset")

// Types returns the device types that have a keyset or a request for one.
func (h *Home) Types() ([]string, error) {
	types, err := h.names("", "types")
	if err != nil {
		return nil, fmt.Errorf("list device types: %w", err)
	}
	return types, nil
}

// Keysets returns the keysets of a device type, oldest first, each verified:
// the first by its own roots, every other by the rule of rotation.
func (h *Home) Keysets(deviceType string) ([]trust.VerifiedKeyset, error) {
	raws, err := h.rawKeysets(deviceType)
	if err != nil {
		return nil, err
	}
	ring, err := h.Ring()
	if err != nil {
		return nil, err
	}
	var chain []trust.VerifiedKeyset
	for _, raw := range raws {
		ks, err := follow(chain, raw, ring)
		if err != nil {
			return nil, fmt.Errorf("keysets of %s: %w: %w", deviceType, ErrDamaged, err)
		}
		if ks.Keyset().DeviceType != deviceType || ks.Keyset().Vendor != h.Vendor() {
			return nil, fmt.Errorf("keysets of %s: %w: one is of %q, %q", deviceType, ErrDamaged, ks.Keyset().Vendor, ks.Keyset().DeviceType)
		}
		chain = append(chain, ks)
	}
	return chain, nil
}

// follow verifies the keyset that comes after chain.
func follow(chain []trust.VerifiedKeyset, raw []byte, ring trust.KeyRing) (trust.VerifiedKeyset, error) {
	if len(chain) == 0 {
		return trust.OpenHeld(raw, ring)
	}
	return chain[len(chain)-1].Accept(raw, ring)
}

// Newest returns the newest keyset of a device type (ErrNoKeyset).
func (h *Home) Newest(deviceType string) (trust.VerifiedKeyset, error) {
	chain, err := h.Keysets(deviceType)
	if err != nil {
		return trust.VerifiedKeyset{}, err
	}
	if len(chain) == 0 {
		return trust.VerifiedKeyset{}, fmt.Errorf("%s: %w", deviceType, ErrNoKeyset)
	}
	return chain[len(chain)-1], nil
}

// rawKeysets returns the bytes of the keysets of a type, by version.
func (h *Home) rawKeysets(deviceType string) ([][]byte, error) {
	versions, err := h.versions(deviceType, ".keyset")
	if err != nil {
		return nil, err
	}
	var raws [][]byte
	for _, v := range versions {
		raw, err := h.fsys.ReadFile(h.keysetPath(deviceType, v, ".keyset"))
		if err != nil {
			return nil, fmt.Errorf("keysets of %s: %w", deviceType, err)
		}
		raws = append(raws, raw)
	}
	return raws, nil
}

// versions lists the numbers of the files of a type that end in suffix.
func (h *Home) versions(deviceType, suffix string) ([]uint32, error) {
	if err := manifest.CheckName(deviceType); err != nil {
		return nil, fmt.Errorf("device type: %w", err)
	}
	names, err := h.names(suffix, "types", escape(deviceType))
	if err != nil {
		return nil, fmt.Errorf("keysets of %s: %w", deviceType, err)
	}
	var versions []uint32
	for _, name := range names {
		v, err := strconv.ParseUint(name, 10, 32)
		if err != nil || strconv.FormatUint(v, 10) != name {
			return nil, fmt.Errorf("keysets of %s: %w: unknown file %s%s", deviceType, ErrDamaged, name, suffix)
		}
		versions = append(versions, uint32(v))
	}
	slices.Sort(versions)
	return versions, nil
}

func (h *Home) keysetPath(deviceType string, version uint32, suffix string) string {
	return h.path("types", escape(deviceType), strconv.FormatUint(uint64(version), 10)+suffix)
}

// Request returns the keyset of a device type that waits for signatures, nil
// if none does.
func (h *Home) Request(deviceType string) ([]byte, error) {
	versions, err := h.versions(deviceType, ".request")
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	signed, err := h.versions(deviceType, ".keyset")
	if err != nil {
		return nil, err
	}
	if len(signed) > 0 && versions[len(versions)-1] <= signed[len(signed)-1] {
		return nil, nil // left over: it was signed since
	}
	raw, err := h.fsys.ReadFile(h.keysetPath(deviceType, versions[len(versions)-1], ".request"))
	if err != nil {
		return nil, fmt.Errorf("keyset request of %s: %w", deviceType, err)
	}
	return raw, nil
}

// PutKeyset takes a keyset, signed by some roots or none, newer than the
// newest one. Its signatures are united with those of a request for the same
// keyset that is waiting. If they are enough, it becomes the newest keyset and
// complete is true; otherwise it waits, and missing says what for.
//
// keys are public keys that came with it; those it names are added to the
// home's. A request with other contents that is waiting is not replaced
// (ErrOtherRequest). A signature that does not verify refuses everything.
func (h *Home) PutKeyset(raw []byte, keys trust.KeyRing) (complete bool, missing error, err error) {
	err = h.locked(func() error {
		complete, missing, err = h.putKeyset(raw, keys)
		return err
	})
	return complete, missing, err
}

// ErrOtherRequest means that another keyset of the same type is waiting.
var ErrOtherRequest = errors.New("another keyset of this device type waits for signatures")

func (h *Home) putKeyset(raw []byte, keys trust.KeyRing) (complete bool, missing error, err error) {
	ks, _, err := trust.ParseKeyset(raw)
	if err != nil {
		return false, nil, err
	}
	if ks.Vendor != h.Vendor() {
		return false, nil, fmt.Errorf("keyset of %s: %w: %q, the home is of %q", ks.DeviceType, trust.ErrWrongVendor, ks.Vendor, h.Vendor())
	}
	chain, err := h.Keysets(ks.DeviceType)
	if err != nil {
		return false, nil, err
	}
	if n := len(chain); n > 0 && ks.Version <= chain[n-1].Keyset().Version {
		return false, nil, fmt.Errorf("keyset of %s: %w: version %d, the home has %d", ks.DeviceType, trust.ErrKeysetNotNewer, ks.Version, chain[n-1].Keyset().Version)
	}
	if raw, err = h.unite(ks.DeviceType, raw); err != nil {
		return false, nil, err
	}
	if missing, err = h.check(chain, raw, keys); err != nil {
		return false, nil, err
	}
	// The keys first: a keyset is there only if it can be verified.
	if err := h.addNamedKeys(ks, keys); err != nil {
		return false, nil, err
	}
	name := strconv.FormatUint(uint64(ks.Version), 10)
	if missing != nil {
		return false, missing, h.write(raw, "types", escape(ks.DeviceType), name+".request")
	}
	// Between the two steps the request is superfluous, not wrong: Request
	// looks only for one that is newer.
	if err := h.write(raw, "types", escape(ks.DeviceType), name+".keyset"); err != nil {
		return false, nil, err
	}
	return true, nil, h.dropRequests(ks.DeviceType)
}

// unite adds the signatures of the request that waits, if one does.
func (h *Home) unite(deviceType string, raw []byte) ([]byte, error) {
	waiting, err := h.Request(deviceType)
	if err != nil || waiting == nil {
		return raw, err
	}
	united, err := trust.MergeKeysets(waiting, raw)
	if err != nil {
		return nil, fmt.Errorf("keyset of %s: %w", deviceType, ErrOtherRequest)
	}
	return united, nil
}

// check verifies a keyset against the chain and against its own roots. That
// signatures are missing is no error here; that one is wrong is. Both checks
// run: the first alone would not look at the signatures of new roots.
func (h *Home) check(chain []trust.VerifiedKeyset, raw []byte, keys trust.KeyRing) (missing, err error) {
	ring, err := h.Ring()
	if err != nil {
		return nil, err
	}
	maps.Copy(ring, keys)
	_, own := trust.OpenHeld(raw, ring)
	_, rotation := follow(chain, raw, ring)
	for _, err := range []error{own, rotation} {
		switch {
		case errors.Is(err, trust.ErrNotEnoughSigners):
			missing = err
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// addNamedKeys adds those keys that the keyset names and the home lacks.
func (h *Home) addNamedKeys(ks *trust.Keyset, keys trust.KeyRing) error {
	for _, key := range keys.Keys() {
		purpose, named := useIn(ks, key.ID())
		if !named {
			continue
		}
		_, err := h.KeyByID(key.ID())
		if errors.Is(err, ErrNoKey) {
			_, err = h.AddPublicKey(importedName(ks, key.ID(), purpose), key, purpose)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// importedName names a key that came with a keyset, after its use and its id.
func importedName(ks *trust.Keyset, id trust.KeyID, purpose Purpose) string {
	kid := id.KID()
	if purpose == ForRoot {
		return fmt.Sprintf("root-%x", kid)
	}
	return fmt.Sprintf("release-%s-%x", ks.DeviceType, kid)
}

// DropRequest forgets the keyset that waits for signatures.
func (h *Home) DropRequest(deviceType string) error {
	return h.locked(func() error { return h.dropRequests(deviceType) })
}

func (h *Home) dropRequests(deviceType string) error {
	versions, err := h.versions(deviceType, ".request")
	if err != nil {
		return err
	}
	for _, v := range versions {
		err := fsatomic.RemoveDurable(h.fsys, h.keysetPath(deviceType, v, ".request"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
