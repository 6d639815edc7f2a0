package testvectors

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"

	"github.com/secure-ota/secure-ota/trust"
)

// A Key is a signing key of the vectors. It is derived from its name, known to
// everybody, and signs the same message with the same bytes every time. It
// implements trust.Signer and refuses nothing: hostile vectors are made with
// it.
type Key struct {
	Name   string
	public trust.PublicKey // zero if outside the policy
	rsa    *rsaKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
}

// rsaSpecs are the RSA keys. The offsets are what findOffsets finds for the
// name; a test checks that they give primes.
var rsaSpecs = map[string]struct {
	bits    int
	e       int64
	offsets [2]int64
}{
	"root a":       {2048, 65537, [2]int64{41, 142}},
	"root b":       {2048, 65537, [2]int64{18, 52}},
	"root c":       {2048, 65537, [2]int64{29, 54}},
	"root d":       {2048, 65537, [2]int64{334, 260}},
	"root e":       {2048, 65537, [2]int64{525, 415}},
	"release 1":    {2048, 65537, [2]int64{1000, 280}},
	"release 2":    {2048, 65537, [2]int64{942, 132}},
	"release 3":    {2048, 65537, [2]int64{175, 650}},
	"stranger":     {2048, 65537, [2]int64{32, 1053}},
	"bare":         {2048, 65537, [2]int64{80, 673}},
	"exponent 3":   {2048, 3, [2]int64{305, 119}},
	"small":        {1024, 65537, [2]int64{36, 222}},
	"release 3072": {3072, 65537, [2]int64{603, 424}},
	"release 4096": {4096, 65537, [2]int64{1040, 498}},
}

// P-256 and Ed25519 keys need no search.
var curveKeys = map[string]trust.Algorithm{
	"release p256": trust.ESP256, "root p256": trust.ESP256,
	"release ed25519": trust.Ed25519, "root ed25519": trust.Ed25519,
}

// NewKey returns the key of that name and panics if there is none.
func NewKey(name string) *Key {
	if spec, ok := rsaSpecs[name]; ok {
		k := deriveRSA(name, spec.bits, spec.e, spec.offsets)
		return newKey(&Key{Name: name, rsa: &k}, &rsa.PublicKey{N: k.n, E: int(spec.e)})
	}
	switch curveKeys[name] {
	case trust.ESP256:
		ec, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), expand(name, 32))
		if err != nil {
			panic("testvectors: key " + name + ": " + err.Error())
		}
		return newKey(&Key{Name: name, ec: ec}, &ec.PublicKey)
	case trust.Ed25519:
		ed := ed25519.NewKeyFromSeed(expand(name, ed25519.SeedSize))
		return newKey(&Key{Name: name, ed: ed}, ed.Public())
	}
	panic("testvectors: no key named " + name)
}

func newKey(k *Key, public crypto.PublicKey) *Key {
	k.public, _ = trust.NewPublicKey(public) // a key outside the policy stays zero
	return k
}

// Public returns the public half; it is zero for a key outside the policy.
func (k *Key) Public() trust.PublicKey { return k.public }

// ID returns the key id.
func (k *Key) ID() trust.KeyID { return k.public.ID() }

// RSA returns modulus and exponent, also of a key outside the policy.
func (k *Key) RSA() (n, e *big.Int) { return k.rsa.n, k.rsa.e }

// Signer returns the entry of a keyset for the key. Roots have epoch 0.
func (k *Key) Signer(epoch uint32) trust.SignerKey {
	return trust.SignerKey{ID: k.ID(), Algorithm: k.public.Algorithm(), Epoch: epoch}
}

// Sign signs any message whatever.
func (k *Key) Sign(message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	switch {
	case k.rsa != nil:
		return k.rsa.signPSS(digest[:], sha256.Size), nil
	case k.ec != nil:
		return fixedECDSA(k.SignDER(message)), nil
	case k.ed != nil:
		return ed25519.Sign(k.ed, message), nil
	}
	return nil, fmt.Errorf("sign: key %q has no private half", k.Name)
}

// SignSalt signs with RSA-PSS and another salt length than 32.
func (k *Key) SignSalt(message []byte, salt int) []byte {
	digest := sha256.Sum256(message)
	return k.rsa.signPSS(digest[:], salt)
}

// SignPKCS1 signs with RSASSA-PKCS1-v1_5.
func (k *Key) SignPKCS1(message []byte) []byte {
	digest := sha256.Sum256(message)
	return k.rsa.signPKCS1v15(digest[:])
}

// SignDER signs with ECDSA and returns the DER form of X9.62. Without a source
// of random numbers Go computes the nonce as in RFC 6979.
func (k *Key) SignDER(message []byte) []byte {
	digest := sha256.Sum256(message)
	der, err := k.ec.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		panic("testvectors: " + err.Error())
	}
	return der
}

func fixedECDSA(der []byte) []byte {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		panic("testvectors: " + err.Error())
	}
	out := make([]byte, 64)
	sig.R.FillBytes(out[:32])
	sig.S.FillBytes(out[32:])
	return out
}

// Ring returns the public keys of all named keys within the policy.
func Ring(keys ...*Key) trust.KeyRing {
	ring := trust.KeyRing{}
	for _, k := range keys {
		ring[k.ID()] = k.Public()
	}
	return ring
}
