package trust

import "slices"

// A KeyRing holds public keys by their id. Being in a ring gives a key no
// authority: a keyset names the ids that have it.
type KeyRing map[KeyID]PublicKey

// NewKeyRing returns a ring of the given keys.
func NewKeyRing(keys ...PublicKey) KeyRing {
	ring := make(KeyRing, len(keys))
	for _, k := range keys {
		ring[k.ID()] = k
	}
	return ring
}

// Keys returns the keys in the order of their ids.
func (r KeyRing) Keys() []PublicKey {
	keys := make([]PublicKey, 0, len(r))
	for _, k := range r {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b PublicKey) int { return slices.Compare(a.id[:], b.id[:]) })
	return keys
}
