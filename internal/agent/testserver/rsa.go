package testserver

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"

	"github.com/secure-ota/secure-ota/trust"
)

type rsaSigner struct {
	private *rsa.PrivateKey
	public  trust.PublicKey
}

// Public implements trust.Signer.
func (s rsaSigner) Public() trust.PublicKey { return s.public }

// Sign implements trust.Signer: PS256.
func (s rsaSigner) Sign(message []byte) ([]byte, error) {
	h := sha256.Sum256(message)
	return rsa.SignPSS(rand.Reader, s.private, crypto.SHA256, h[:], &rsa.PSSOptions{SaltLength: 32})
}
