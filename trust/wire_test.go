package trust

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/dcbor"
)

// What is read without the general decoder is what that would have decoded.
func FuzzReadCheckRequest(f *testing.F) {
	for _, w := range []checkRequestPayload{
		{Format: 1, Device: "d", DeviceType: "t", ImageDigest: make([]byte, 32)},
		{Format: 1, Device: "d", DeviceType: "t", Nonce: math.MaxUint64, ImageDigest: make([]byte, 32), Boot: 2, LastError: 37, HardwareRevision: "B", Capabilities: 1},
		{Format: 2, Device: "d", ImageDigest: make([]byte, 31), KeysetVersion: math.MaxUint32},
	} {
		raw, err := dcbor.Marshal(w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(append(raw, 0))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if got, ok := readCheckRequest(payload); ok {
			want, err := decodeCheckRequest(payload)
			if err != nil || got != want {
				t.Fatalf("%x: %+v, want %+v: %v", payload, got, want, err)
			}
			if deviceType, device, err := peekSender(payload); err != nil || deviceType != got.DeviceType || device != got.Device {
				t.Fatalf("%x is from %s/%s: %v", payload, deviceType, device, err)
			}
		}
	})
}

func TestWhatADeviceSendsIsReadWithoutTheDecoder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		q := CheckRequest{
			Device: rapid.StringMatching(`[a-z0-9-]{1,64}`).Draw(rt, "device"), DeviceType: rapid.StringMatching(`[a-z]{1,64}`).Draw(rt, "type"),
			Nonce: rapid.Uint64().Draw(rt, "nonce"), KeysetVersion: rapid.Uint32().Draw(rt, "keyset"),
			Boot: BootState(rapid.IntRange(0, 2).Draw(rt, "boot")), LastError: Reason(rapid.IntRange(0, 255).Draw(rt, "error")),
			HardwareRevision: rapid.SampledFrom([]string{"", "B"}).Draw(rt, "hardware"), Capabilities: rapid.SampledFrom([]uint8{0, CapNoRevert}).Draw(rt, "capabilities"),
		}
		raw, err := dcbor.Marshal(checkRequestPayload{
			Format: MessageFormat, Device: q.Device, DeviceType: q.DeviceType, Nonce: q.Nonce, ImageDigest: q.ImageDigest[:], KeysetVersion: q.KeysetVersion,
			Boot: q.Boot, LastError: q.LastError, HardwareRevision: q.HardwareRevision, Capabilities: q.Capabilities,
		})
		if err != nil {
			rt.Fatal(err)
		}
		if got, ok := readCheckRequest(raw); !ok || got != q {
			rt.Fatalf("%t: %+v, want %+v", ok, got, q)
		}
	})
}

func TestAnAnswerIsWrittenAsTheEncoderWouldWriteIt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := checkResponsePayload{
			Format: MessageFormat, Device: rapid.String().Draw(rt, "device"), Nonce: rapid.Uint64().Draw(rt, "nonce"), ServerTime: rapid.Uint64().Draw(rt, "time"),
			KeysetVersion: rapid.Uint32().Draw(rt, "keyset"), RetrySeconds: rapid.Uint32().Draw(rt, "retry"),
			ManifestSize: rapid.Uint32().Draw(rt, "size"), RetryRejected: rapid.Bool().Draw(rt, "retry rejected"),
		}
		if rapid.Bool().Draw(rt, "offer") {
			w.ManifestHash = make([]byte, 32)
		}
		want, err := dcbor.Marshal(w)
		if err != nil {
			rt.Fatal(err)
		}
		if got := w.append(nil); !bytes.Equal(got, want) {
			rt.Fatalf("%x, want %x", got, want)
		}
	})
}

// The library's HKDF derives the same keys.
func TestDerivingIsHKDF(t *testing.T) {
	master := NewFleetMaster()
	deriver := master.Deriver()
	prk, err := hkdf.Extract(sha256.New, master[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, generation := range []uint32{1, 24, math.MaxUint32} {
		keys, err := deriver.DeviceKeys(DeviceID{"acme", "sensor", "dev-0001"}, generation)
		if err != nil {
			t.Fatal(err)
		}
		for direction, got := range []DeviceKey{keys.Up, keys.Down} {
			info, err := dcbor.Marshal([]any{deviceKeyLabel, "acme", "sensor", "dev-0001", generation, direction})
			if err != nil {
				t.Fatal(err)
			}
			want, err := hkdf.Expand(sha256.New, prk, string(info), KeySize)
			if err != nil || got != DeviceKey(want) {
				t.Errorf("generation %d, direction %d: %v", generation, direction, err)
			}
		}
	}
}
