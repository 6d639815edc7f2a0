package signing_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// An RSA key takes a second to make under the race detector: all tests but a
// few share one, and get a copy that they may change.
var sharedRSA = sync.OnceValues(func() (*signing.Key, error) { return signing.Generate(trust.PS256) })

func generate(t testing.TB, alg trust.Algorithm) *signing.Key {
	t.Helper()
	if alg != trust.PS256 {
		return fresh(t, alg)
	}
	k, err := sharedRSA()
	if err != nil {
		t.Fatal(err)
	}
	mine := *k
	return &mine
}

func fresh(t testing.TB, alg trust.Algorithm) *signing.Key {
	t.Helper()
	k, err := signing.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unsignedManifest(t testing.TB) []byte {
	t.Helper()
	v, err := version.Parse("1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, 1), v)
	if err := m.SetImage(manifest.Digest{1}, 10); err != nil {
		t.Fatal(err)
	}
	raw, err := trust.UnsignedManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func sigStructure(t testing.TB, k trust.PublicKey) []byte {
	t.Helper()
	obj, err := cose.ParseSigned(unsignedManifest(t), cose.TypManifest, trust.MaxManifest)
	if err != nil {
		t.Fatal(err)
	}
	return obj.ToBeSigned(int64(k.Algorithm()), k.ID().KID())
}

func TestEveryAlgorithmSignsManifests(t *testing.T) {
	for _, alg := range []trust.Algorithm{trust.PS256, trust.ESP256, trust.Ed25519} {
		k := generate(t, alg)
		if k.Public().Algorithm() != alg {
			t.Errorf("asked for %v, got %v", alg, k.Public().Algorithm())
		}
		if _, err := trust.SignManifest(unsignedManifest(t), k); err != nil {
			t.Errorf("%v: %v", alg, err)
		}
	}
	if _, err := signing.Generate(-7); !errors.Is(err, trust.ErrUnsupported) {
		t.Errorf("ES256: %v", err)
	}
}

func TestKeysOutsideThePolicyAreNotMadeOrTaken(t *testing.T) {
	for _, bits := range []int{0, 1024, 2047, 8192} {
		if _, err := signing.GenerateRSA(bits); !errors.Is(err, trust.ErrKeyPolicy) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []any{p384, "secret", nil} {
		if _, err := signing.FromPrivate(private); !errors.Is(err, trust.ErrKeyPolicy) {
			t.Errorf("%T: %v", private, err)
		}
	}
}

// A key has one use, in both directions: what signs objects signs no files, and
// what signs files signs no objects.
func TestKeySignsNothingButSigStructures(t *testing.T) {
	k := generate(t, trust.PS256)
	for _, message := range [][]byte{nil, []byte("firmware"), unsignedManifest(t), make([]byte, 32), []byte("\x84\x68Firmware")} {
		if sig, err := k.Sign(message); !errors.Is(err, signing.ErrNotObject) || sig != nil {
			t.Errorf("signs %q: %v", message, err)
		}
	}
	if _, err := k.Sign(sigStructure(t, k.Public())); err != nil {
		t.Error(err)
	}
}

func TestFirmwareSignerRefusesSigStructures(t *testing.T) {
	k := generate(t, trust.PS256)
	sig, _, err := signing.FirmwareSigner{Key: k}.SignFirmware(bytes.NewReader(sigStructure(t, k.Public())))
	if !errors.Is(err, trust.ErrLookalike) || sig != nil {
		t.Fatalf("signs the inside of a manifest: %v", err)
	}
}

func TestFirmwareSignerRefusesAKeyWithAnotherPurpose(t *testing.T) {
	k := generate(t, trust.PS256)
	k.Purpose = "release of sensor_v1"
	if _, _, err := (signing.FirmwareSigner{Key: k}).SignFirmware(strings.NewReader("firmware")); !errors.Is(err, signing.ErrOneUse) {
		t.Fatalf("got %v", err)
	}
}

func TestFirmwareSignerTakesRSA2048Alone(t *testing.T) {
	for _, k := range []*signing.Key{generate(t, trust.ESP256), generate(t, trust.Ed25519)} {
		if _, _, err := (signing.FirmwareSigner{Key: k}).SignFirmware(strings.NewReader("firmware")); !errors.Is(err, trust.ErrBareKey) {
			t.Errorf("%v: %v", k.Public().Algorithm(), err)
		}
	}
}

func TestFirmwareSignatureVerifiesAndDiffersEachTime(t *testing.T) {
	k := generate(t, trust.PS256)
	firmware := strings.Repeat("firmware", 100_000)
	first, digest, err := signing.FirmwareSigner{Key: k}.SignFirmware(strings.NewReader(firmware))
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := signing.FirmwareSigner{Key: k}.SignFirmware(strings.NewReader(firmware))
	if err != nil || bytes.Equal(first, second) {
		t.Errorf("two signatures share their salt (%v)", err)
	}
	got, err := trust.Verifier{Key: k.Public()}.VerifyFirmware(strings.NewReader(firmware), first)
	if err != nil || got != digest {
		t.Errorf("digest %s, signed %s: %v", got, digest, err)
	}
}

func TestPrivateKeyDoesNotPrint(t *testing.T) {
	k := generate(t, trust.Ed25519)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got, want := fmt.Sprintf(format, k), "[private key "+k.Public().ID().String()+"]"; got != want {
			t.Errorf("%s prints %s", format, got)
		}
	}
	if k.LogValue().String() != k.String() {
		t.Error("a private key can be logged")
	}
}

// An RSA key whose parts do not belong together must not sign: a wrong CRT
// exponent gives away the factors.
func TestInconsistentPrivateKeyDoesNotSign(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private.D = new(big.Int).Add(private.D, big.NewInt(2))
	private.Precomputed = rsa.PrecomputedValues{}
	k, err := signing.FromPrivate(private)
	if err != nil {
		return
	}
	if _, err := trust.SignManifest(unsignedManifest(t), k); err == nil {
		t.Error("signs with an inconsistent key")
	}
}
