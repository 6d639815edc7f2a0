package trust_test

import (
	"bytes"
	"testing"

	"github.com/secure-ota/secure-ota/trust"
)

// Between check and use nobody can change what was checked: not through the
// buffer that it came in, and not through the bytes that are given out.
func TestVerifiedObjectsDoNotChangeWithTheirBuffer(t *testing.T) {
	raw := signManifest(t, release(1, 5, "2.1.0"), release1)
	genuine := bytes.Clone(raw)
	m := must(held(t, 1).VerifyManifest(raw, ring))(t)
	clear(raw)
	clear(m.Bytes())
	if !bytes.Equal(m.Bytes(), genuine) || m.Manifest().Version.String() != "2.1.0" || m.Manifest().ImageDigest.IsZero() {
		t.Error("the manifest changed")
	}
	raw = signKeyset(t, keyset(2), rootA, rootB)
	genuine = bytes.Clone(raw)
	ks := must(held(t, 1).Accept(raw, ring))(t)
	clear(raw)
	clear(ks.Bytes())
	if !bytes.Equal(ks.Bytes(), genuine) || ks.Keyset().Roots[0].ID == (trust.KeyID{}) {
		t.Error("the keyset changed")
	}
	encoded := release1.Public().COSEKey()
	genuine = bytes.Clone(encoded)
	k := must(trust.ParseCOSEKey(encoded))(t)
	clear(encoded)
	clear(k.COSEKey())
	if !bytes.Equal(k.COSEKey(), genuine) || k.ID() != release1.ID() {
		t.Error("the key changed")
	}
	edRaw := releaseEd.Public().COSEKey()
	ed := must(trust.ParseCOSEKey(edRaw))(t)
	clear(edRaw)
	message := []byte("\x85\x69Signature")
	if err := ed.Verify(message, must(releaseEd.Sign(message))(t)); err != nil {
		t.Errorf("the Ed25519 key changed: %v", err)
	}
}
