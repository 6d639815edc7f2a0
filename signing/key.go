// Package signing holds private keys: it makes, loads and saves them and signs
// with them. It is the offline side of the product. A private key never leaves
// it but through SavePrivateKey, and no package that talks to a network may
// import it (internal/archtest); those take a trust.Signer.
package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/trust"
)

// DefaultRSABits is the modulus of RSA keys unless another is asked for.
const DefaultRSABits = 2048

// A Key is a private key that passed the policy of trust.NewPublicKey. It
// implements trust.Signer.
type Key struct {
	private crypto.Signer
	public  trust.PublicKey
	// Purpose is the one use of the key, in words that stand before the PEM
	// block of its file: "root", "release of TYPE", or empty for bare files.
	Purpose string
}

// Generate makes a key for the algorithm; RSA gets DefaultRSABits.
func Generate(alg trust.Algorithm) (*Key, error) {
	switch alg {
	case trust.PS256:
		return GenerateRSA(DefaultRSABits)
	case trust.ESP256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate P-256 key: %w", err)
		}
		return FromPrivate(private)
	case trust.Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate Ed25519 key: %w", err)
		}
		return FromPrivate(private)
	}
	return nil, fmt.Errorf("generate key: %w: %s", trust.ErrUnsupported, alg)
}

// GenerateRSA makes an RSA key of 2048, 3072 or 4096 bits, exponent 65537.
func GenerateRSA(bits int) (*Key, error) {
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return nil, fmt.Errorf("generate RSA key of %d bits: %w: want 2048, 3072 or 4096", bits, trust.ErrKeyPolicy)
	}
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("generate RSA key: %w", err)
	}
	return FromPrivate(private)
}

// FromPrivate takes a *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey
// and checks it against the policy.
func FromPrivate(private crypto.PrivateKey) (*Key, error) {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%T: %w: not a signing key", private, trust.ErrKeyPolicy)
	}
	public := signer.Public()
	pub, err := trust.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return &Key{private: signer, public: pub}, nil
}

// Public returns the public half.
func (k *Key) Public() trust.PublicKey { return k.public }

// String names the key by its id and hides the secret.
func (k *Key) String() string { return "[private key " + k.public.ID().String() + "]" }

// GoString hides the secret.
func (k *Key) GoString() string { return k.String() }

// LogValue hides the secret.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ErrNotObject is wrapped by the refusal to sign a message that is not the
// Sig_structure of a COSE object.
var ErrNotObject = errors.New("only the Sig_structure of a COSE object is signed here")

// Sign signs a Sig_structure and refuses any other message (ErrNotObject). It
// implements trust.Signer.
func (k *Key) Sign(message []byte) ([]byte, error) {
	if !cose.Lookalike(message) {
		return nil, ErrNotObject
	}
	if private, ok := k.private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, message), nil
	}
	return k.signDigest(sha256.Sum256(message))
}

func (k *Key) signDigest(digest [sha256.Size]byte) ([]byte, error) {
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], opts)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return sig, nil
	}
	return nil, fmt.Errorf("sign a digest with %s: %w", k.public.Algorithm(), trust.ErrUnsupported)
}
