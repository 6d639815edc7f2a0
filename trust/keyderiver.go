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
	// HMAC-SHA-256 under the master's pseudorandom key. Beginning again with the
	// same key costs half of what beginning with it does.
	macs sync.Pool
}

// Deriver returns the deriver of the master's device keys.
func (m FleetMaster) Deriver() *KeyDeriver {
	prk, err := hkdf.Extract(sha256.New, m[:], nil)
	if err != nil { // of SHA-256, which FIPS 140 approves
		panic(fmt.Sprintf("trust: HKDF of a fleet master: %v", err))
	}
	return &KeyDeriver{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, prk) }}}
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
	info := dcbor.AppendText(dcbor.AppendArray(make([]byte, 0, 256), 6), deviceKeyLabel)
	info = dcbor.AppendText(dcbor.AppendText(dcbor.AppendText(info, id.Vendor), id.DeviceType), id.ID)
	info = dcbor.AppendUint(info, uint64(generation))
	mac := d.macs.Get().(hash.Hash)
	defer d.macs.Put(mac)
	expand(mac, dcbor.AppendUint(info, directionUp), &k.Up)
	expand(mac, dcbor.AppendUint(info, directionDown), &k.Down)
	return k, nil
}

// expand is HKDF-Expand (RFC 5869 section 2.3) of as many bytes as the hash
// has, which is its first block: HMAC(PRK, info ‖ 1).
func expand(mac hash.Hash, info []byte, key *DeviceKey) {
	mac.Reset()
	mac.Write(append(info, 1))
	mac.Sum(key[:0])
}

// String hides the secret.
func (*KeyDeriver) String() string { return "[fleet master]" }

// GoString hides the secret.
func (*KeyDeriver) GoString() string { return "[fleet master]" }

// LogValue hides the secret.
func (*KeyDeriver) LogValue() slog.Value { return slog.StringValue("[fleet master]") }
