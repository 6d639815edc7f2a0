package trust

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"log/slog"
	"sync"

	"github.com/secure-ota/secure-ota/internal/dcbor"
)

// A KeyDeriver derives the keys of the devices of one fleet master: a server
// does that with every message, so that it need not keep two keys for each of a
// million devices. It is safe for concurrent use.
type KeyDeriver struct {
	expanders sync.Pool // of *expander
}

// An expander is HMAC-SHA-256 under a master's pseudorandom key, and room for
// what goes in and comes out. Beginning again with the same key costs half of
// what beginning with it does.
type expander struct {
	mac  hash.Hash
	info []byte
	key  DeviceKey
}

// Deriver returns the deriver of the master's device keys.
func (m FleetMaster) Deriver() *KeyDeriver {
	prk, err := hkdf.Extract(sha256.New, m[:], nil)
	if err != nil { // of SHA-256, which FIPS 140 approves
		panic(fmt.Sprintf("trust: HKDF of a fleet master: %v", err))
	}
	return &KeyDeriver{expanders: sync.Pool{New: func() any { return &expander{mac: hmac.New(sha256.New, prk)} }}}
}

// DeviceKeys derives the keys of one device: HKDF-SHA-256 (RFC 5869) of the
// master without salt, info the deterministic CBOR array [label, vendor, type,
// device id, generation, direction]. The generation starts at 1 and rises when
// a device is enrolled again.
func (d *KeyDeriver) DeviceKeys(id DeviceID, generation uint32) (k DeviceKeys, err error) {
	if err := id.Validate(); err != nil {
		return DeviceKeys{}, fmt.Errorf("derive device key: %w", err)
	}
	if generation == 0 {
		return DeviceKeys{}, fmt.Errorf("derive device key: %w: generation starts at 1", ErrInvalidField)
	}
	e := d.expanders.Get().(*expander)
	defer d.expanders.Put(e)
	info := dcbor.AppendText(dcbor.AppendArray(e.info[:0], 6), deviceKeyLabel)
	info = dcbor.AppendText(dcbor.AppendText(dcbor.AppendText(info, id.Vendor), id.DeviceType), id.ID)
	info = dcbor.AppendUint(info, uint64(generation))
	k.Up = e.expand(dcbor.AppendUint(info, directionUp))
	k.Down = e.expand(dcbor.AppendUint(info, directionDown))
	return k, nil
}

// expand is HKDF-Expand (RFC 5869 section 2.3) of as many bytes as the hash
// has, which is its first block: HMAC(PRK, info ‖ 1).
func (e *expander) expand(info []byte) DeviceKey {
	e.info = append(info, 1)
	e.mac.Reset()
	e.mac.Write(e.info)
	e.mac.Sum(e.key[:0])
	return e.key
}

// String hides the secret.
func (*KeyDeriver) String() string { return "[fleet master]" }

// GoString hides the secret.
func (*KeyDeriver) GoString() string { return "[fleet master]" }

// LogValue hides the secret.
func (*KeyDeriver) LogValue() slog.Value { return slog.StringValue("[fleet master]") }
