package testvectors_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

// renumbered is a verifier of go-cose under the number that RFC 9864 gave to the
// same algorithm, which go-cose does not know yet.
type renumbered struct {
	cose.Verifier
	number trust.Algorithm
}

func (r renumbered) Algorithm() cose.Algorithm { return cose.Algorithm(r.number) }

func secondVerifier(t *testing.T, key trust.PublicKey) cose.Verifier {
	t.Helper()
	number := map[trust.Algorithm]cose.Algorithm{
		trust.PS256: cose.AlgorithmPS256, trust.ESP256: cose.AlgorithmES256, trust.Ed25519: cose.AlgorithmEdDSA,
	}[key.Algorithm()]
	v, err := cose.NewVerifier(number, key.Key())
	if err != nil {
		t.Fatal(err)
	}
	return renumbered{v, key.Algorithm()}
}

// TestGoCOSEVerifiesWhatIsAccepted holds every accepted COSE_Sign against
// veraison/go-cose: it parses, and each signature by a key of the vector
// verifies. At least one has to be there.
func TestGoCOSEVerifiesWhatIsAccepted(t *testing.T) {
	for _, file := range []string{"keyset.txt", "manifest.txt"} {
		objects, signatures := 0, 0
		for _, v := range tv.Files(t)[file] {
			if v.Expect != reason.None {
				continue
			}
			objects++
			n := verifySecond(t, v)
			if n == 0 {
				t.Errorf("%s: %s: no signature that go-cose could verify", file, v.Name)
			}
			signatures += n
		}
		t.Logf("%s: %d objects, %d signatures", file, objects, signatures)
	}
}

func verifySecond(t *testing.T, v tv.Vector) (verified int) {
	t.Helper()
	var msg cose.SignMessage
	if err := msg.UnmarshalCBOR(v.Bytes("object")); err != nil {
		t.Errorf("%s: go-cose: %v", v.Name, err)
		return 0
	}
	byKID := map[string]trust.PublicKey{}
	for id, key := range ring(t, v) {
		kid := id.KID()
		byKID[string(kid[:])] = key
	}
	protected, err := msg.Headers.Protected.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range msg.Signatures {
		kid, _ := sig.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
		alg, err := sig.Headers.Protected.Algorithm()
		key, ok := byKID[string(kid)]
		if err != nil || !ok || int64(alg) != int64(key.Algorithm()) || v.Name == "a wrong signature by a stranger is skipped" && bytes.Equal(kid, kidOf("stranger")) {
			continue
		}
		if err := sig.Verify(secondVerifier(t, key), protected, msg.Payload, nil); err != nil {
			t.Errorf("%s: go-cose: signature by %x: %v", v.Name, kid, err)
		}
		verified++
	}
	return verified
}

func kidOf(name string) []byte {
	kid := tv.NewKey(name).ID().KID()
	return kid[:]
}

// TestMACsAreRecomputed takes every accepted COSE_Mac0 apart with the CBOR
// library alone and computes its tag again.
func TestMACsAreRecomputed(t *testing.T) {
	for file, keyLine := range map[string]string{"check-request.txt": "up-key", "check-response.txt": "down-key", "report.txt": "up-key"} {
		count := 0
		for _, v := range tv.Files(t)[file] {
			if v.Expect != reason.None {
				continue
			}
			count++
			var tagged cbor.RawTag
			var parts struct {
				_           struct{} `cbor:",toarray"`
				Protected   []byte
				Unprotected map[int]any
				Payload     []byte
				Tag         []byte
			}
			if err := cbor.Unmarshal(v.Bytes("object"), &tagged); err != nil || tagged.Number != 17 {
				t.Fatalf("%s: tag %d: %v", v.Name, tagged.Number, err)
			}
			if err := cbor.Unmarshal(tagged.Content, &parts); err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			structure, err := cbor.Marshal([]any{"MAC0", parts.Protected, []byte{}, parts.Payload})
			if err != nil {
				t.Fatal(err)
			}
			h := hmac.New(sha256.New, v.Bytes(keyLine))
			h.Write(structure)
			if !hmac.Equal(h.Sum(nil), parts.Tag) {
				t.Errorf("%s: %s: another MAC", file, v.Name)
			}
		}
		if count == 0 {
			t.Errorf("%s: nothing accepted", file)
		}
	}
}
