package offline

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/secure-ota/secure-ota/trust"
)

func TestDiagnoseSaysWhatIsWrongWithASignature(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	digest, changed := sha256.Sum256([]byte("firmware")), sha256.Sum256([]byte("Firmware"))
	pss := func(k *rsa.PrivateKey, salt int) []byte {
		sig, err := rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	pkcs1, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	damaged := pss(private, 32)
	damaged[77] ^= 1
	for _, c := range []struct {
		name   string
		digest [32]byte
		sig    []byte
		want   error
	}{
		{"another file", changed, pss(private, 32), ErrModified},
		{"another file and salt", changed, pss(private, 20), ErrModified},
		{"another key", digest, pss(other, 32), ErrOtherKey},
		{"a damaged byte", digest, damaged, ErrOtherKey},
		{"salt 20", digest, pss(private, 20), ErrSalt},
		{"salt 222", digest, pss(private, 222), ErrSalt},
		{"no salt", digest, pss(private, 0), ErrSalt},
		{"PKCS#1", digest, pkcs1, ErrPKCS1},
		{"zeros", digest, make([]byte, 256), ErrOtherKey},
		{"larger than the modulus", digest, maxed(256), ErrOtherKey},
	} {
		// Salt 0 means "auto" to crypto/rsa when it signs, so it is the longest.
		if got := diagnose(key, c.digest, c.sig); !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func maxed(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return b
}
