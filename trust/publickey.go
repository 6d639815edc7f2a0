package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/reason"
)

// An Algorithm is a signature algorithm by its COSE number. It belongs to a
// key; a message alone never chooses it.
type Algorithm int64

// The algorithms. PS256 is the default everywhere.
const (
	PS256   Algorithm = -37 // RSASSA-PSS, SHA-256, MGF1-SHA-256, salt 32 (RFC 8230)
	ESP256  Algorithm = -9  // ECDSA P-256, SHA-256 (RFC 9864)
	Ed25519 Algorithm = -19 // EdDSA Ed25519 (RFC 9864)
)

// String returns the algorithm's COSE name.
func (a Algorithm) String() string {
	switch a {
	case PS256:
		return "PS256"
	case ESP256:
		return "ESP256"
	case Ed25519:
		return "Ed25519"
	default:
		return fmt.Sprintf("algorithm %d", int64(a))
	}
}

// ErrKeyPolicy is wrapped by the error for a key outside the policy: RSA with
// a modulus of 2048, 3072 or 4096 bits and exponent 65537, P-256, or Ed25519.
// Its reason is ErrInvalidField.
var ErrKeyPolicy = reason.Named("key outside the policy", ErrInvalidField)

const (
	rsaExponent = 65537
	rsaSaltSize = 32
)

// A KeyID is the SHA-256 COSE Key Thumbprint (RFC 9679) of a public key.
type KeyID [sha256.Size]byte

// String returns the id in hex.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// KID returns the hint by which signatures name the key: the first 8 bytes.
func (id KeyID) KID() cose.KID { return cose.KID(id[:cose.KIDSize]) }

// MarshalText returns the id in hex.
func (id KeyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 64 hex digits.
func (id *KeyID) UnmarshalText(text []byte) error {
	parsed, err := ParseKeyID(string(text))
	*id = parsed
	return err
}

// ParseKeyID reads 64 lower case hex digits.
func ParseKeyID(s string) (KeyID, error) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != s {
		return KeyID{}, fmt.Errorf("parse key id %q: want 64 lower case hex digits", s)
	}
	return KeyID(raw), nil
}

// A PublicKey is a public key that passed the policy. The zero value verifies
// nothing.
type PublicKey struct {
	alg  Algorithm
	key  crypto.PublicKey
	cose []byte // COSE_Key, exactly the thumbprint input
	id   KeyID
}

// NewPublicKey checks a *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
// against the policy. Its error wraps ErrKeyPolicy.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	k := PublicKey{key: key}
	switch key := key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		if bits != 2048 && bits != 3072 && bits != 4096 {
			return PublicKey{}, fmt.Errorf("RSA modulus of %d bits: %w: want 2048, 3072 or 4096", bits, ErrKeyPolicy)
		}
		if key.E != rsaExponent {
			return PublicKey{}, fmt.Errorf("RSA exponent %d: %w: want %d", key.E, ErrKeyPolicy, rsaExponent)
		}
		if key.N.Bit(0) == 0 {
			return PublicKey{}, fmt.Errorf("RSA modulus is even: %w", ErrKeyPolicy)
		}
		k.alg = PS256
		k.cose = encodeKey(coseRSA{Kty: ktyRSA, N: key.N.Bytes(), E: []byte{1, 0, 1}})
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil || key.Curve != elliptic.P256() {
			return PublicKey{}, fmt.Errorf("elliptic curve key: %w: want a point of P-256", ErrKeyPolicy)
		}
		k.alg = ESP256
		k.cose = encodeKey(coseEC2{Kty: ktyEC2, Crv: crvP256, X: point[1:33], Y: point[33:]})
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return PublicKey{}, fmt.Errorf("Ed25519 key of %d bytes: %w", len(key), ErrKeyPolicy)
		}
		k.alg = Ed25519
		k.cose = encodeKey(coseOKP{Kty: ktyOKP, Crv: crvEd25519, X: key})
	default:
		return PublicKey{}, fmt.Errorf("%T: %w: want RSA, P-256 or Ed25519", key, ErrKeyPolicy)
	}
	k.id = sha256.Sum256(k.cose)
	return k, nil
}

// COSE key types and curves (RFC 9053 section 7, RFC 8230 section 4).
const (
	ktyOKP, ktyEC2, ktyRSA = 1, 2, 3
	crvP256, crvEd25519    = 1, 6
)

type coseRSA struct {
	Kty int    `cbor:"1,keyasint"`
	N   []byte `cbor:"-1,keyasint"`
	E   []byte `cbor:"-2,keyasint"`
}

type coseEC2 struct {
	Kty int    `cbor:"1,keyasint"`
	Crv int    `cbor:"-1,keyasint"`
	X   []byte `cbor:"-2,keyasint"`
	Y   []byte `cbor:"-3,keyasint"`
}

type coseOKP struct {
	Kty int    `cbor:"1,keyasint"`
	Crv int    `cbor:"-1,keyasint"`
	X   []byte `cbor:"-2,keyasint"`
}

func encodeKey(v any) []byte {
	raw, err := dcbor.Marshal(v)
	if err != nil {
		panic("trust: " + err.Error())
	}
	return raw
}

// maxCOSEKey is the longest COSE_Key, in bytes: RSA-4096 and its heads.
const maxCOSEKey = 544

// ParseCOSEKey reads a COSE_Key in exactly the form of its thumbprint input
// (RFC 9679 section 4): deterministic, required members only.
func ParseCOSEKey(raw []byte) (PublicKey, error) {
	if len(raw) > maxCOSEKey {
		return PublicKey{}, fmt.Errorf("parse COSE_Key: %w: %d bytes", ErrTooLarge, len(raw))
	}
	var members map[int64]any
	if err := dcbor.Unmarshal(raw, &members); err != nil {
		return PublicKey{}, fmt.Errorf("parse COSE_Key: %w", err)
	}
	bstr := func(label int64) []byte { b, _ := members[label].([]byte); return b }
	var key crypto.PublicKey
	switch kty, _ := members[1].(uint64); kty {
	case ktyRSA:
		e := new(big.Int).SetBytes(bstr(-2))
		if !e.IsInt64() || e.Int64() != rsaExponent {
			return PublicKey{}, fmt.Errorf("parse COSE_Key: RSA exponent: %w: want %d", ErrKeyPolicy, rsaExponent)
		}
		key = &rsa.PublicKey{N: new(big.Int).SetBytes(bstr(-1)), E: rsaExponent}
	case ktyEC2:
		point := append(append([]byte{4}, bstr(-2)...), bstr(-3)...)
		ec, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return PublicKey{}, fmt.Errorf("parse COSE_Key: %w: %v", ErrKeyPolicy, err)
		}
		key = ec
	case ktyOKP:
		key = ed25519.PublicKey(bstr(-2))
	default:
		return PublicKey{}, fmt.Errorf("parse COSE_Key: %w: key type %v", ErrUnsupported, members[1])
	}
	k, err := NewPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("parse COSE_Key: %w", err)
	}
	if string(k.cose) != string(raw) {
		return PublicKey{}, fmt.Errorf("parse COSE_Key: %w: members beyond those of its thumbprint", ErrMalformed)
	}
	return k, nil
}

// ParsePublicKeyPEM reads one PEM "PUBLIC KEY" (SPKI, as OpenSSL writes it).
func ParsePublicKeyPEM(text []byte) (PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return PublicKey{}, errors.New("parse public key: no PEM block found")
	}
	if block.Type != "PUBLIC KEY" {
		return PublicKey{}, fmt.Errorf("parse public key: the PEM block is a %q, want \"PUBLIC KEY\"", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, fmt.Errorf("parse public key: %w", err)
	}
	k, err := NewPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("parse public key: %w", err)
	}
	return k, nil
}

// IsZero reports whether k is the zero value.
func (k PublicKey) IsZero() bool { return k.key == nil }

// ID returns the key's thumbprint.
func (k PublicKey) ID() KeyID { return k.id }

// Algorithm returns the one algorithm of the key.
func (k PublicKey) Algorithm() Algorithm { return k.alg }

// Key returns the *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
func (k PublicKey) Key() crypto.PublicKey { return k.key }

// Bits returns the size of the key in bits: the RSA modulus, or 256.
func (k PublicKey) Bits() int {
	if r, ok := k.key.(*rsa.PublicKey); ok {
		return r.N.BitLen()
	}
	return 256
}

// COSEKey returns the key as a COSE_Key in deterministic CBOR.
func (k PublicKey) COSEKey() []byte { return append([]byte(nil), k.cose...) }

// PEM returns the key as OpenSSL reads it.
func (k PublicKey) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		panic("trust: " + err.Error()) // the policy admits only keys that encode
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Verify checks a signature over message. Its error is ErrBadSignature.
func (k PublicKey) Verify(message, sig []byte) error {
	if key, ok := k.key.(ed25519.PublicKey); ok {
		if !ed25519.Verify(key, message, sig) {
			return ErrBadSignature
		}
		return nil
	}
	return k.VerifyDigest(sha256.Sum256(message), sig)
}

// VerifyDigest checks a signature over the message whose SHA-256 is digest.
// Ed25519 signs messages, not digests, and is refused.
func (k PublicKey) VerifyDigest(digest [sha256.Size]byte, sig []byte) error {
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		// The salt length is explicit: with the default of crypto/rsa any
		// length would pass.
		opts := &rsa.PSSOptions{SaltLength: rsaSaltSize, Hash: crypto.SHA256}
		if rsa.VerifyPSS(key, crypto.SHA256, digest[:], sig, opts) != nil {
			return ErrBadSignature
		}
		return nil
	case *ecdsa.PublicKey:
		if !verifyP256(key, digest, sig) {
			return ErrBadSignature
		}
		return nil
	case ed25519.PublicKey:
		return fmt.Errorf("verify with an Ed25519 key over a digest: %w", ErrUnsupported)
	default:
		return ErrBadSignature
	}
}

// verifyP256 checks r ‖ s, 32 bytes each (RFC 9053 section 2.1). The DER form
// of X9.62 is not accepted: it has more than one encoding of one signature.
func verifyP256(key *ecdsa.PublicKey, digest [sha256.Size]byte, sig []byte) bool {
	if len(sig) != 64 {
		return false
	}
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}
