package trust_test

import (
	"bytes"
	"testing"

	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

// damages calls refused with every object that differs from raw in one bit, is
// cut short anywhere, or is longer by one byte.
func damages(t *testing.T, raw []byte, accept func([]byte) error) {
	t.Helper()
	if err := accept(raw); err != nil {
		t.Fatalf("the whole object: %v", err)
	}
	failures := 0
	refused := func(what string, at int, object []byte) {
		if accept(object) == nil && failures < 10 {
			t.Errorf("%s %d is accepted", what, at)
			failures++
		}
	}
	for bit := range 8 * len(raw) {
		object := bytes.Clone(raw)
		object[bit/8] ^= 1 << (bit % 8)
		refused("with another bit", bit, object)
	}
	for size := range raw {
		refused("cut to a length of", size, raw[:size])
		refused("without its first bytes, counted", size+1, raw[size+1:])
	}
	for b := range 256 {
		refused("with a byte after it, of value", b, append(bytes.Clone(raw), byte(b)))
		refused("with a byte before it, of value", b, append([]byte{byte(b)}, raw...))
	}
}

func TestEveryBitOfAManifestCounts(t *testing.T) {
	for _, k := range []*tv.Key{release1, releaseP256, releaseEd} {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			ks := keyset(1)
			ks.Releases = []trust.SignerKey{k.Signer(1)}
			h := holding(t, ks, rootA, rootB)
			damages(t, signManifest(t, release(1, 5, "2.1.0"), k), func(raw []byte) error {
				_, err := h.VerifyManifest(raw, ring)
				return err
			})
		})
	}
}

func TestEveryBitOfAKeysetCounts(t *testing.T) {
	h := held(t, 1)
	damages(t, signKeyset(t, keyset(2), rootA, rootB), func(raw []byte) error {
		_, err := h.Accept(raw, ring)
		return err
	})
}

func TestEveryBitOfABareSignatureCounts(t *testing.T) {
	firmware := bytes.Repeat([]byte("firmware "), 20)
	sig := must(bareKey.Sign(firmware))(t)
	v := trust.Verifier{Key: bareKey.Public()}
	damages(t, sig, func(sig []byte) error {
		_, err := v.VerifyFirmware(bytes.NewReader(firmware), sig)
		return err
	})
	damages(t, firmware, func(firmware []byte) error {
		_, err := v.VerifyFirmware(bytes.NewReader(firmware), sig)
		return err
	})
}

func TestEveryBitOfAMessageCounts(t *testing.T) {
	keys := deviceKeys(t, device.ID, 1)
	damages(t, must(request(17).Seal(keys.Up))(t), func(raw []byte) error {
		_, err := trust.OpenCheckRequest(raw, keyOf(t))
		return err
	})
	damages(t, must(response(17).Seal(keys.Down))(t), func(raw []byte) error {
		_, err := trust.OpenCheckResponse(raw, keys.Down, device.ID, 17)
		return err
	})
	damages(t, must(report(18).Seal(keys.Up))(t), func(raw []byte) error {
		_, err := trust.OpenReport(raw, keyOf(t))
		return err
	})
}

// A COSE_Key has no signature: what a changed bit must not do is leave the key
// its id.
func TestEveryBitOfACOSEKeyChangesItsID(t *testing.T) {
	for _, k := range []*tv.Key{release1, releaseP256, releaseEd} {
		damages(t, k.Public().COSEKey(), func(raw []byte) error {
			got, err := trust.ParseCOSEKey(raw)
			if err == nil && got.ID() != k.ID() {
				return trust.ErrBadSignature
			}
			return err
		})
	}
}
