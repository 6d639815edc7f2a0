package fleet

import (
	"context"
	"maps"

	"github.com/secure-ota/secure-ota/trust"
)

// A publishedKeyset is a keyset with the keys that it names. None ever changes.
type publishedKeyset struct {
	trust.VerifiedKeyset
	keys trust.KeyRing
}

func (k publishedKeyset) version() uint32 { return k.Keyset().Version }

// keyset returns a keyset by its version.
func (t *typeView) keyset(version uint32) (publishedKeyset, bool) {
	for _, ks := range t.keysets { // a handful
		if ks.version() == version {
			return ks, true
		}
	}
	return publishedKeyset{}, false
}

// publishedKeysets returns the keysets of a device type with their keys, oldest
// first. Keys that the old snapshot has are not read again.
func (f *Fleet) publishedKeysets(ctx context.Context, deviceType string, old *Snapshot) (list []publishedKeyset, err error) {
	keysets, err := f.cfg.Repository.Keysets(ctx, deviceType)
	if err != nil {
		return nil, err
	}
	for _, ks := range keysets {
		published := publishedKeyset{VerifiedKeyset: ks}
		if before, ok := old.types[deviceType]; ok {
			known, _ := before.keyset(published.version())
			published.keys = known.keys
		}
		if published.keys == nil {
			if published.keys, err = f.cfg.Repository.Keys(ctx, ks.Keyset()); err != nil {
				return nil, err
			}
		}
		list = append(list, published)
	}
	return list, nil
}

// An acceptance is that who holds one keyset accepts another.
type acceptance struct{ held, newer uint32 }

// acceptances returns which of the keysets, oldest first, follow each other.
// What is known already is not verified again.
func acceptances(keysets []publishedKeyset, known []acceptance) []acceptance {
	var newestKnown uint32
	for _, a := range known {
		newestKnown = max(newestKnown, a.newer)
	}
	list := append([]acceptance(nil), known...)
	for i, newer := range keysets {
		if i == 0 || newer.version() <= newestKnown {
			continue
		}
		for _, held := range keysets[:i] {
			ring := maps.Clone(held.keys)
			maps.Copy(ring, newer.keys)
			if _, err := held.Accept(newer.Bytes(), ring); err == nil {
				list = append(list, acceptance{held.version(), newer.version()})
			}
		}
	}
	return list
}

// Keyset returns a published keyset of a device type, as far as it is known
// here.
func (f *Fleet) Keyset(deviceType string, version uint32) (ks trust.VerifiedKeyset, ok bool) {
	t, ok := f.snapshot.Load().types[deviceType]
	if !ok {
		return ks, false
	}
	published, ok := t.keyset(version)
	return published.VerifiedKeyset, ok
}

// LatestKeyset returns the newest published keyset of a device type, the one
// that answers to checks announce.
func (f *Fleet) LatestKeyset(deviceType string) (ks trust.VerifiedKeyset, ok bool) {
	t, ok := f.snapshot.Load().types[deviceType]
	if !ok {
		return ks, false
	}
	return f.Keyset(deviceType, t.newestKeyset)
}

// Key returns a key that a published keyset names, as far as it is known here.
func (f *Fleet) Key(id trust.KeyID) (key trust.PublicKey, ok bool) {
	key, ok = f.snapshot.Load().keys[id]
	return key, ok
}
