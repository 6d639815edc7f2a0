package testserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// An Author holds the private keys of one device type.
type Author struct {
	Vendor, DeviceType string
	Roots              []trust.Signer // threshold 2
	Release            trust.Signer   // of key epoch 1
	Ring               trust.KeyRing
	Keyset             []byte // version 1, signed
	Master             trust.FleetMaster
}

// NewAuthor makes keys that are the same at every run.
func NewAuthor(vendor, deviceType string) *Author {
	a := &Author{Vendor: vendor, DeviceType: deviceType, Release: Key("release"), Ring: trust.KeyRing{}}
	for _, name := range []string{"root 1", "root 2", "root 3"} {
		a.Roots = append(a.Roots, Key(name))
	}
	copy(a.Master[:], sum("fleet master "+deviceType))
	a.Keyset = a.SignKeyset(a.NextKeyset(1), a.Roots[0], a.Roots[1])
	return a
}

func sum(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

// NextKeyset returns a keyset of that version with the author's present keys.
func (a *Author) NextKeyset(v uint32) *trust.Keyset {
	return &trust.Keyset{
		Vendor: a.Vendor, DeviceType: a.DeviceType, Version: v, Roots: Keys(0, a.Roots...), RootThreshold: 2,
		Releases: Keys(1, a.Release), ReleaseThreshold: 1,
	}
}

// SignKeyset signs a keyset and remembers the public keys.
func (a *Author) SignKeyset(ks *trust.Keyset, signers ...trust.Signer) []byte {
	raw, err := trust.UnsignedKeyset(ks)
	for _, s := range append(append([]trust.Signer{a.Release}, a.Roots...), signers...) {
		a.Ring[s.Public().ID()] = s.Public()
	}
	for _, s := range signers {
		if err == nil {
			raw, err = trust.SignKeyset(raw, s)
		}
	}
	if err != nil {
		panic(err)
	}
	return raw
}

// Sign signs a manifest with the release key, or with the given ones.
func (a *Author) Sign(m *manifest.Manifest, signers ...trust.Signer) []byte {
	if len(signers) == 0 {
		signers = []trust.Signer{a.Release}
	}
	raw, err := trust.UnsignedManifest(m)
	for _, s := range signers {
		if err == nil {
			raw, err = trust.SignManifest(raw, s)
		}
	}
	if err != nil {
		panic(err)
	}
	return raw
}

// Provisioning returns that of a device, its secret apart.
func (a *Author) Provisioning(id string) client.Provisioning {
	p := client.Provisioning{Vendor: a.Vendor, DeviceType: a.DeviceType, Device: id, Keyset: a.Keyset}
	for _, k := range a.Ring.Keys() {
		p.Keys = append(p.Keys, k.COSEKey())
	}
	return p
}

// Keys returns the entries of a keyset for signers.
func Keys(epoch uint32, signers ...trust.Signer) (keys []trust.SignerKey) {
	for _, s := range signers {
		keys = append(keys, trust.SignerKey{ID: s.Public().ID(), Algorithm: s.Public().Algorithm(), Epoch: epoch})
	}
	return keys
}

// Key returns the Ed25519 key that belongs to a name.
func Key(name string) trust.Signer {
	return newSigner(ed25519.NewKeyFromSeed(sum("key " + name)))
}

// RSAKey makes an RSA-2048 key.
func RSAKey() trust.Signer {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return rsaSigner{k, publicKey(&k.PublicKey)}
}

func publicKey(k any) trust.PublicKey {
	pub, err := trust.NewPublicKey(k)
	if err != nil {
		panic(err)
	}
	return pub
}

// signer is a trust.Signer that needs no package signing: the device side is
// kept apart from that, in its tests, too.
type signer struct {
	private ed25519.PrivateKey
	public  trust.PublicKey
}

func newSigner(k ed25519.PrivateKey) signer {
	return signer{k, publicKey(k.Public().(ed25519.PublicKey))}
}

// Public implements trust.Signer.
func (s signer) Public() trust.PublicKey { return s.public }

// Sign implements trust.Signer.
func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.private, message), nil }
