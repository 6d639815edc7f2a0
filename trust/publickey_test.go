package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"

	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

func TestKeysOutsideThePolicyAreRefused(t *testing.T) {
	n, _ := release1.RSA()
	e3, _ := tv.NewKey("exponent 3").RSA()
	small, _ := tv.NewKey("small").RSA()
	even := new(big.Int).SetBit(n, 0, 0)
	p384, err := ecdsa.ParseUncompressedPublicKey(elliptic.P384(), p384Generator())
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{
		"exponent 3":           &rsa.PublicKey{N: e3, E: 3},
		"exponent 65539":       &rsa.PublicKey{N: n, E: 65539},
		"1024 bits":            &rsa.PublicKey{N: small, E: 65537},
		"2047 bits":            &rsa.PublicKey{N: new(big.Int).Rsh(n, 1), E: 65537},
		"2049 bits":            &rsa.PublicKey{N: new(big.Int).Lsh(n, 1), E: 65537},
		"even modulus":         &rsa.PublicKey{N: even, E: 65537},
		"P-384":                p384,
		"short Ed25519":        releaseEd.Public().Key().(ed25519.PublicKey)[:31],
		"a word":               "key",
		"nothing":              nil,
		"an RSA key by value":  rsa.PublicKey{N: n, E: 65537},
		"a trust.PublicKey":    release1.Public(),
		"a private RSA number": n,
	} {
		_, err := trust.NewPublicKey(key)
		if !errors.Is(err, trust.ErrKeyPolicy) || trust.ReasonOf(err) != trust.ErrInvalidField {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPublicKeyPEMReadsBack(t *testing.T) {
	for _, k := range []*tv.Key{release1, tv.NewKey("release 4096"), releaseP256, releaseEd} {
		again := must(trust.ParsePublicKeyPEM(k.Public().PEM()))(t)
		if again.ID() != k.ID() || again.Algorithm() != k.Public().Algorithm() || again.Bits() != k.Public().Bits() {
			t.Errorf("%s reads back as another key", k.Name)
		}
	}
	for name, text := range map[string][]byte{
		"empty": nil, "words": []byte("hello"),
		"another type": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}),
		"not DER":      pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}}),
		"exponent 3":   spki(t, tv.NewKey("exponent 3"), 3),
	} {
		if _, err := trust.ParsePublicKeyPEM(text); err == nil {
			t.Errorf("%s is read as a key", name)
		}
	}
}

// p384Generator is a point of a curve that the policy does not have.
func p384Generator() []byte {
	p := elliptic.P384().Params()
	point := make([]byte, 97)
	point[0] = 4
	p.Gx.FillBytes(point[1:49])
	p.Gy.FillBytes(point[49:])
	return point
}

func spki(t *testing.T, k *tv.Key, e int) []byte {
	n, _ := k.RSA()
	der := must(x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: e}))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestZeroPublicKeyVerifiesNothing(t *testing.T) {
	var k trust.PublicKey
	if k.Verify([]byte("x"), make([]byte, 256)) == nil || !k.IsZero() {
		t.Error("the zero key verifies")
	}
	if err := releaseEd.Public().VerifyDigest([32]byte{}, make([]byte, 64)); !errors.Is(err, trust.ErrUnsupported) {
		t.Errorf("Ed25519 over a digest: %v", err)
	}
}

func TestKeyIDIsTheThumbprint(t *testing.T) {
	// RFC 9679 section 6: the EC2 key of the example and its thumbprint.
	hexBytes := func(s string) []byte { return must(hex.DecodeString(s))(t) }
	raw := append([]byte{0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20}, hexBytes("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d")...)
	raw = append(append(raw, 0x22, 0x58, 0x20), hexBytes("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c")...)
	k := must(trust.ParseCOSEKey(raw))(t)
	if got, want := k.ID().String(), "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"; got != want {
		t.Errorf("thumbprint %s, RFC 9679 has %s", got, want)
	}
	if !bytes.Equal(k.COSEKey(), raw) {
		t.Error("the key encodes differently")
	}
	text := must(k.ID().MarshalText())(t)
	var id trust.KeyID
	if err := id.UnmarshalText(text); err != nil || id != k.ID() {
		t.Errorf("the id does not read back: %v", err)
	}
	for _, bad := range []string{"", "00", string(bytes.ToUpper(text))} {
		if _, err := trust.ParseKeyID(bad); err == nil {
			t.Errorf("%q is read as a key id", bad)
		}
	}
}
