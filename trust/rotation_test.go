package trust_test

import (
	"testing"

	"github.com/secure-ota/secure-ota/internal/cose"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

func TestThresholdZeroIsRefused(t *testing.T) {
	for name, change := range map[string]func(*trust.Keyset){
		"root":    func(ks *trust.Keyset) { ks.RootThreshold = 0 },
		"release": func(ks *trust.Keyset) { ks.ReleaseThreshold = 0 },
	} {
		ks := keyset(2)
		change(ks)
		if _, err := ks.Encode(); err == nil {
			t.Errorf("a keyset with %s threshold 0 encodes", name)
		}
	}
	anchor := keyset(1).Anchor()
	anchor.RootThreshold = 0
	_, err := anchor.Open(signKeyset(t, keyset(1)), ring)
	wantReason(t, err, trust.ErrInvalidField)
	var nobody trust.VerifiedKeyset
	_, err = nobody.VerifyManifest(signManifest(t, release(1, 1, "1.0.0")), ring)
	wantReason(t, err, trust.ErrNotEnoughSigners)
}

func TestDuplicateKeysAreRefused(t *testing.T) {
	ks := keyset(2)
	ks.Roots = []trust.SignerKey{rootA.Signer(0), rootA.Signer(0), rootB.Signer(0)}
	wantReason(t, ks.Validate(), trust.ErrInvalidField)
	ks = keyset(2)
	ks.Releases = append(ks.Releases, release1.Signer(3))
	_, err := ks.Encode()
	wantReason(t, err, trust.ErrInvalidField)
	ks = keyset(2)
	ks.Releases = append(ks.Releases, rootA.Signer(1))
	_, err = ks.Encode()
	wantReason(t, err, trust.ErrInvalidField)
}

func TestDuplicateKeysInAnAnchorCountOnce(t *testing.T) {
	anchor := keyset(1).Anchor()
	anchor.Roots = []trust.SignerKey{rootA.Signer(0), rootA.Signer(0)}
	ks := keyset(1)
	ks.RootThreshold = 1
	_, err := anchor.Open(signKeyset(t, ks, rootA), ring)
	wantReason(t, err, trust.ErrNotEnoughSigners)
}

func TestDuplicateSignaturesAreRefused(t *testing.T) {
	raw := signKeyset(t, keyset(2), rootA)
	obj := must(cose.ParseSigned(raw, cose.TypKeyset, trust.MaxKeyset))(t)
	obj.Signatures = append(obj.Signatures, obj.Signatures[0])
	_, err := held(t, 1).Accept(must(obj.Encode())(t), ring)
	wantReason(t, err, trust.ErrMalformed)
	if again := must(trust.SignKeyset(raw, rootA))(t); len(again) != len(raw) {
		t.Error("signing twice with one key adds a second signature")
	}
}

func TestRotationOfRootsNeedsBothThresholds(t *testing.T) {
	next := keyset(2)
	next.Roots = []trust.SignerKey{rootC.Signer(0), rootD.Signer(0), rootE.Signer(0)}
	for _, c := range []struct {
		name string
		by   []*tv.Key
		want trust.Reason
	}{
		{"only the old", []*tv.Key{rootA, rootB}, trust.ErrNotEnoughSigners},
		{"only the new", []*tv.Key{rootD, rootE}, trust.ErrNotEnoughSigners},
		{"both, one short of the old", []*tv.Key{rootA, rootD, rootE}, trust.ErrNotEnoughSigners},
		{"both, one short of the new", []*tv.Key{rootA, rootB, rootD}, trust.ErrNotEnoughSigners},
		{"nobody", nil, trust.ErrNotEnoughSigners},
		{"both, all different", []*tv.Key{rootA, rootB, rootD, rootE}, 0},
		{"both, one key in each", []*tv.Key{rootA, rootC, rootD}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := held(t, 1).Accept(signKeyset(t, next, c.by...), ring)
			if trust.ReasonOf(err) != c.want || (c.want == 0) != (got.Keyset() != nil) {
				t.Fatalf("got %v, want reason %d", err, c.want)
			}
		})
	}
}

func TestVersionsMayBeSkippedWhenBothThresholdsHold(t *testing.T) {
	got := must(held(t, 1).Accept(signKeyset(t, keyset(7), rootA, rootC), ring))(t)
	if got.Keyset().Version != 7 {
		t.Fatalf("holds version %d", got.Keyset().Version)
	}
	for _, v := range []uint32{6, 7} {
		_, err := got.Accept(signKeyset(t, keyset(v), rootA, rootC), ring)
		wantReason(t, err, trust.ErrKeysetNotNewer)
	}
}

func TestKeysetOfAnotherVendorOrTypeIsRefused(t *testing.T) {
	other := keyset(2)
	other.Vendor = "other"
	_, err := held(t, 1).Accept(signKeyset(t, other, rootA, rootB), ring)
	wantReason(t, err, trust.ErrWrongVendor)
	other = keyset(2)
	other.DeviceType = "other"
	_, err = held(t, 1).Accept(signKeyset(t, other, rootA, rootB), ring)
	wantReason(t, err, trust.ErrWrongType)
}

func TestSeveralPeopleSignOneKeysetInTurnOrOnCopies(t *testing.T) {
	unsigned := must(trust.UnsignedKeyset(keyset(1)))(t)
	onA, onB := must(trust.SignKeyset(unsigned, rootA))(t), must(trust.SignKeyset(unsigned, rootB))(t)
	merged := must(trust.MergeKeysets(onA, onB))(t)
	if string(merged) != string(signKeyset(t, keyset(1), rootB, rootA)) {
		t.Error("merged copies and signing in turn give different objects")
	}
	if _, err := trust.MergeKeysets(onA, signKeyset(t, keyset(2), rootB)); err == nil {
		t.Error("signatures of different keysets merge")
	}
	must(keyset(1).Anchor().Open(merged, ring))(t)
}

func TestMoreSignaturesThanParseAreNotWritten(t *testing.T) {
	obj := must(cose.ParseSigned(signKeyset(t, keyset(1), rootA), cose.TypKeyset, trust.MaxKeyset))(t)
	for i := range cose.MaxSignatures - 1 {
		obj.Add(cose.Signature{Alg: -999, KID: cose.KID{byte(i)}, Value: []byte{1}})
	}
	full := must(obj.Encode())(t)
	_, err := trust.SignKeyset(full, rootB)
	wantReason(t, err, trust.ErrTooLarge)
	_, err = trust.MergeKeysets(full, signKeyset(t, keyset(1), rootB))
	wantReason(t, err, trust.ErrTooLarge)
	obj.Signatures = obj.Signatures[:1]
	obj.Add(cose.Signature{Alg: -999, KID: cose.KID{1}, Value: make([]byte, cose.MaxSignatureSize)})
	obj.Add(cose.Signature{Alg: -999, KID: cose.KID{2}, Value: make([]byte, 2700)})
	_, err = trust.SignKeyset(must(obj.Encode())(t), rootB)
	wantReason(t, err, trust.ErrTooLarge)
}

func TestHeldKeysetReadsBack(t *testing.T) {
	ks := held(t, 3)
	again := must(trust.OpenHeld(ks.Bytes(), ring))(t)
	if again.Hash() != ks.Hash() || again.Keyset().Version != 3 {
		t.Error("reads back another keyset")
	}
	_, err := trust.OpenHeld(signKeyset(t, keyset(3), rootA), ring)
	wantReason(t, err, trust.ErrNotEnoughSigners)
	var zero trust.VerifiedKeyset
	_, err = zero.Accept(ks.Bytes(), ring)
	wantReason(t, err, trust.ErrInvalidField)
}

// A key ring is filled from the network; a key under another's id is not that
// key.
func TestKeyUnderAnotherIDDoesNotCount(t *testing.T) {
	lying := trust.KeyRing{rootA.ID(): rootA.Public(), rootB.ID(): stranger.Public()}
	raw := must(trust.UnsignedKeyset(keyset(2)))(t)
	obj := must(cose.ParseSigned(must(trust.SignKeyset(raw, rootA))(t), cose.TypKeyset, trust.MaxKeyset))(t)
	alg, kid := int64(trust.PS256), rootB.ID().KID()
	obj.Add(cose.Signature{Alg: alg, KID: kid, Value: must(stranger.Sign(obj.ToBeSigned(alg, kid)))(t)})
	_, err := held(t, 1).Accept(must(obj.Encode())(t), lying)
	wantReason(t, err, trust.ErrNotEnoughSigners)
}
