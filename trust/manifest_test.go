package trust_test

import (
	"math"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

func TestManifestOfTheHeldReleaseKeyVerifies(t *testing.T) {
	raw := signManifest(t, release(1, 5, "2.1.0"), release1)
	got := must(held(t, 1).VerifyManifest(raw, ring))(t)
	if got.Manifest().Version.String() != "2.1.0" || string(got.Bytes()) != string(raw) || got.IsZero() {
		t.Error("the verified manifest is not the one that was signed")
	}
	two := must(held(t, 1).VerifyManifest(must(trust.SignManifest(raw, stranger))(t), ring))(t)
	if two.Identity() != got.Identity() || two.Hash() == got.Hash() {
		t.Error("identity names the release, the hash names the transferred bytes")
	}
}

func TestRevokedReleaseKeyIsRefused(t *testing.T) {
	raw := signManifest(t, release(1, 5, "2.1.0"), release1)
	revoked := keyset(2)
	revoked.Releases = []trust.SignerKey{release2.Signer(2)}
	next := must(held(t, 1).Accept(signKeyset(t, revoked, rootA, rootB), ring))(t)
	_, err := next.VerifyManifest(raw, ring)
	wantReason(t, err, trust.ErrNotEnoughSigners)
	must(next.VerifyManifest(signManifest(t, release(2, 1, "2.1.0"), release2), ring))(t)
}

func TestSequenceOutsideItsKeysEpochIsRefused(t *testing.T) {
	_, err := held(t, 1).VerifyManifest(signManifest(t, release(2, 1, "2.1.0"), release1), ring)
	wantReason(t, err, trust.ErrWrongEpoch)
	_, err = held(t, 1).VerifyManifest(signManifest(t, release(1, 9, "2.1.0"), release2), ring)
	wantReason(t, err, trust.ErrWrongEpoch)
	_, err = held(t, 1).VerifyManifest(signManifest(t, release(1, 9, "2.1.0"), release1, release2), ring)
	wantReason(t, err, trust.ErrWrongEpoch)
}

// The largest sequence and counter that a stolen key can sign stop at its
// epoch: the next key goes on above them.
func TestFastForwardIsRepairedByANewEpoch(t *testing.T) {
	ks := held(t, 1)
	forward := release(1, math.MaxUint32, "9.9.9")
	forward.SecurityCounter = math.MaxUint32
	stolen := must(ks.VerifyManifest(signManifest(t, forward, release1), ring))(t)

	var device rollback.State
	device.RecordVersionUpdate(rollback.EntryOf(stolen.Manifest(), stolen.Hash()), time.Unix(1, 0))
	stuck := must(ks.VerifyManifest(signManifest(t, release(1, 6, "2.0.1"), release1), ring))(t)
	wantReason(t, device.Check(stuck.Manifest(), rollback.Device{}), trust.ErrOldSequence)

	repaired := release(2, 1, "2.0.1")
	repaired.Flags, repaired.DowngradeFrom = manifest.FlagDowngrade, []manifest.Sequence{forward.Sequence}
	repair := must(ks.VerifyManifest(signManifest(t, repaired, release2), ring))(t)
	if err := device.Check(repair.Manifest(), rollback.Device{}); err != nil {
		t.Fatal(err)
	}
	device.RecordVersionUpdate(rollback.EntryOf(repair.Manifest(), repair.Hash()), time.Unix(2, 0))
	if device.Floor != (rollback.Floor{Epoch: 2, Counter: 0}) {
		t.Errorf("floor %+v after the repair", device.Floor)
	}
	next := must(ks.VerifyManifest(signManifest(t, release(2, 2, "2.0.2"), release2), ring))(t)
	if err := device.Check(next.Manifest(), rollback.Device{}); err != nil {
		t.Fatal(err)
	}
}

func TestExtraSignatureByAnUnknownKeyIsSkippedAndDoesNotCount(t *testing.T) {
	raw := signManifest(t, release(1, 5, "2.1.0"), stranger)
	_, err := held(t, 1).VerifyManifest(raw, ring)
	wantReason(t, err, trust.ErrNotEnoughSigners)
	must(held(t, 1).VerifyManifest(must(trust.SignManifest(raw, release1))(t), ring))(t)

	critical := keyset(1)
	critical.Releases = []trust.SignerKey{release1.Signer(1), release3.Signer(1)}
	critical.ReleaseThreshold = 2
	two := holding(t, critical, rootA, rootB)
	_, err = two.VerifyManifest(signManifest(t, release(1, 5, "2.1.0"), release1, stranger), ring)
	wantReason(t, err, trust.ErrNotEnoughSigners)
	must(two.VerifyManifest(signManifest(t, release(1, 5, "2.1.0"), release1, release3, stranger), ring))(t)
}

func TestListedKeysWrongSignatureRefusesDespiteEnoughOthers(t *testing.T) {
	obj := must(cose.ParseSigned(signManifest(t, release(1, 5, "2.1.0"), release1), cose.TypManifest, trust.MaxManifest))(t)
	obj.Add(cose.Signature{Alg: int64(trust.PS256), KID: release2.ID().KID(), Value: make([]byte, 256)})
	_, err := held(t, 1).VerifyManifest(must(obj.Encode())(t), ring)
	wantReason(t, err, trust.ErrBadSignature)
}

// An algorithm belongs to a key in a keyset: what a message claims about it
// makes the signature count for nothing.
func TestAlgorithmConfusionCountsForNothing(t *testing.T) {
	mixed := keyset(1)
	mixed.Releases = []trust.SignerKey{release1.Signer(1), releaseP256.Signer(1), releaseEd.Signer(1)}
	ks := holding(t, mixed, rootA, rootB)
	payload := must(release(1, 5, "2.1.0").Encode())(t)
	obj := cose.Signed{Typ: cose.TypManifest, Payload: payload}
	for _, claimed := range []trust.Algorithm{trust.PS256, trust.ESP256, trust.Ed25519, -7, -8, -38, 5} {
		for _, owner := range []trust.Signer{release1, releaseP256, releaseEd} {
			for _, signer := range []trust.Signer{release1, releaseP256, releaseEd} {
				kid := owner.Public().ID().KID()
				value := must(signer.Sign(obj.ToBeSigned(int64(claimed), kid)))(t)
				raw := envelope(t, cose.TypManifest, payload, cose.Signature{Alg: int64(claimed), KID: kid, Value: value})
				_, err := ks.VerifyManifest(raw, ring)
				switch {
				case claimed != owner.Public().Algorithm():
					wantReason(t, err, trust.ErrNotEnoughSigners)
				case owner != signer:
					wantReason(t, err, trust.ErrBadSignature)
				case err != nil:
					t.Fatal(err)
				}
			}
		}
	}
	// A keyset that says another algorithm than the key has gives it no say.
	lying := keyset(1)
	lying.Releases = []trust.SignerKey{{ID: release1.ID(), Algorithm: trust.ESP256, Epoch: 1}}
	_, err := holding(t, lying, rootA, rootB).VerifyManifest(signManifest(t, release(1, 5, "2.1.0"), release1), ring)
	wantReason(t, err, trust.ErrNotEnoughSigners)
}

func TestManifestForOthersIsRefused(t *testing.T) {
	for _, c := range []struct {
		want   trust.Reason
		change func(*manifest.Manifest)
	}{
		{trust.ErrWrongVendor, func(m *manifest.Manifest) { m.Vendor = "other" }},
		{trust.ErrWrongVendor, func(m *manifest.Manifest) { m.Vendor = "" }},
		{trust.ErrWrongType, func(m *manifest.Manifest) { m.DeviceType = "sensor_v2" }},
		{trust.ErrKeysetTooOld, func(m *manifest.Manifest) { m.KeysetVersion = 2 }},
	} {
		m := release(1, 5, "2.1.0")
		c.change(m)
		_, err := held(t, 1).VerifyManifest(signManifest(t, m, release1), ring)
		wantReason(t, err, c.want)
	}
}

// One kind of object never passes for another, though the signature holds.
func TestKindsAreNotExchangeable(t *testing.T) {
	_, err := held(t, 1).VerifyManifest(signKeyset(t, keyset(2), rootA, rootB), ring)
	wantReason(t, err, trust.ErrWrongKind)
	_, err = held(t, 1).Accept(signManifest(t, release(1, 1, "1.0.0"), rootA, rootB), ring)
	wantReason(t, err, trust.ErrWrongKind)
}
