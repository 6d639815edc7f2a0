package trust_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/cose"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// The cast: a vendor with three roots, two of which must sign, and one release
// key in each of two epochs.
var (
	rootA, rootB, rootC = tv.NewKey("root a"), tv.NewKey("root b"), tv.NewKey("root c")
	rootD, rootE        = tv.NewKey("root d"), tv.NewKey("root e")
	release1, release2  = tv.NewKey("release 1"), tv.NewKey("release 2")
	release3, stranger  = tv.NewKey("release 3"), tv.NewKey("stranger")
	releaseP256         = tv.NewKey("release p256")
	releaseEd           = tv.NewKey("release ed25519")
	ring                = tv.Ring(rootA, rootB, rootC, rootD, rootE, release1, release2, release3, stranger, releaseP256, releaseEd)
)

var now = time.Unix(1_790_000_000, 0).UTC()

var device = trust.DeviceID{Vendor: "acme", DeviceType: "sensor_v1", ID: "dev-0001"}

func keyset(v uint32) *trust.Keyset {
	return &trust.Keyset{
		Vendor: "acme", DeviceType: "sensor_v1", Version: v,
		Roots: []trust.SignerKey{rootA.Signer(0), rootB.Signer(0), rootC.Signer(0)}, RootThreshold: 2,
		Releases: []trust.SignerKey{release1.Signer(1), release2.Signer(2)}, ReleaseThreshold: 1,
	}
}

func release(epoch, number uint32, ver string) *manifest.Manifest {
	v, err := version.Parse(ver)
	if err != nil {
		panic(err)
	}
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(epoch, number), v)
	if err := m.SetImage(manifest.Digest{1, 2, 3}, 4096); err != nil {
		panic(err)
	}
	return m
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func signKeyset(t testing.TB, ks *trust.Keyset, by ...*tv.Key) []byte {
	t.Helper()
	raw := must(trust.UnsignedKeyset(ks))(t)
	for _, k := range by {
		raw = must(trust.SignKeyset(raw, k))(t)
	}
	return raw
}

func signManifest(t testing.TB, m *manifest.Manifest, by ...*tv.Key) []byte {
	t.Helper()
	raw := must(trust.UnsignedManifest(m))(t)
	for _, k := range by {
		raw = must(trust.SignManifest(raw, k))(t)
	}
	return raw
}

// held is a device that was provisioned with keyset version v.
func held(t testing.TB, v uint32) trust.VerifiedKeyset {
	t.Helper()
	return holding(t, keyset(v), rootA, rootB)
}

func holding(t testing.TB, ks *trust.Keyset, by ...*tv.Key) trust.VerifiedKeyset {
	t.Helper()
	return must(ks.Anchor().Open(signKeyset(t, ks, by...), ring))(t)
}

// envelope puts signatures together that no signing function would.
func envelope(t testing.TB, typ cose.Typ, payload []byte, sigs ...cose.Signature) []byte {
	t.Helper()
	obj := cose.Signed{Typ: typ, Payload: payload}
	for _, s := range sigs {
		obj.Add(s)
	}
	return must(obj.Encode())(t)
}

func wantReason(t testing.TB, err error, want trust.Reason) {
	t.Helper()
	if !errors.Is(err, want) || trust.ReasonOf(err) != want {
		t.Fatalf("got reason %d (%v), want %d (%v)", trust.ReasonOf(err), err, want, want)
	}
}

func deviceKeys(t testing.TB, id string, generation uint32) trust.DeviceKeys {
	t.Helper()
	d := device
	d.ID = id
	return must(trust.FleetMaster{42}.DeviceKeys(d, generation))(t)
}

// keyOf knows the devices of the fleet in their first generation, all of one
// type.
func keyOf(t testing.TB) trust.KeyOf {
	return func(deviceType, id string) (trust.DeviceKey, error) {
		if deviceType != device.DeviceType {
			return trust.DeviceKey{}, trust.ErrBadMAC
		}
		return deviceKeys(t, id, 1).Up, nil
	}
}
