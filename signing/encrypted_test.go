package signing_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/signing"
)

// encrypted writes an encrypted PKCS#8 key of any parameters.
func encrypted(t *testing.T, kdfOID asn1.ObjectIdentifier, kdf any, cipherOID asn1.ObjectIdentifier, iv, data []byte) []byte {
	t.Helper()
	der := func(v any) asn1.RawValue {
		raw, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: raw}
	}
	type alg = pkix.AlgorithmIdentifier
	params := struct{ KDF, Cipher alg }{alg{Algorithm: kdfOID, Parameters: der(kdf)}, alg{Algorithm: cipherOID, Parameters: der(iv)}}
	raw := der(struct {
		Encryption alg
		Data       []byte
	}{alg{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}, Parameters: der(params)}, data})
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: raw.FullBytes})
}

// A key file says itself what opening it costs. None of these may take memory,
// time, or the program down.
func TestHostileEncryptedKeysAreRefusedAtOnce(t *testing.T) {
	type scrypt struct {
		Salt    []byte
		N, R, P int
	}
	type pbkdf2 struct {
		Salt       []byte
		Iterations int
	}
	scryptOID, pbkdf2OID := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	aes, des := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
	gcm := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}
	salt, iv, data := make([]byte, 16), make([]byte, 16), make([]byte, 64)
	cheap := scrypt{salt, 2, 1, 1}
	for name, text := range map[string][]byte{
		"scrypt of a terabyte":      encrypted(t, scryptOID, scrypt{salt, 1 << 30, 8, 1}, aes, iv, data),
		"scrypt with a large block": encrypted(t, scryptOID, scrypt{salt, 2, 1 << 40, 1}, aes, iv, data),
		"scrypt with many lanes":    encrypted(t, scryptOID, scrypt{salt, 1 << 14, 8, 1 << 20}, aes, iv, data),
		"scrypt with N = 0":         encrypted(t, scryptOID, scrypt{salt, 0, 8, 1}, aes, iv, data),
		"scrypt with negative r":    encrypted(t, scryptOID, scrypt{salt, 2, -8, 1}, aes, iv, data),
		"PBKDF2 for a day":          encrypted(t, pbkdf2OID, pbkdf2{salt, 1 << 40}, aes, iv, data),
		"PBKDF2 with 0 iterations":  encrypted(t, pbkdf2OID, pbkdf2{salt, 0}, aes, iv, data),
		"IV of 8 bytes":             encrypted(t, scryptOID, cheap, aes, iv[:8], data),
		"IV empty":                  encrypted(t, scryptOID, cheap, aes, []byte{}, data),
		"data of half a block":      encrypted(t, scryptOID, cheap, aes, iv, data[:40]),
		"no data":                   encrypted(t, scryptOID, cheap, aes, iv, nil),
		"triple DES":                encrypted(t, scryptOID, cheap, des, iv[:8], data),
		"AES-GCM":                   encrypted(t, scryptOID, cheap, gcm, iv, data),
		"an unknown derivation":     encrypted(t, aes, cheap, aes, iv, data),
		"not DER":                   pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("hello")}),
	} {
		start := time.Now()
		if _, err := signing.ParsePrivateKey(text, secret("word")); !errors.Is(err, signing.ErrNotPrivate) {
			t.Errorf("%s: got %v", name, err)
		}
		if spent := time.Since(start); spent > time.Second {
			t.Errorf("%s: took %v", name, spent)
		}
	}
	if _, err := signing.ParsePrivateKey(encrypted(t, scryptOID, cheap, aes, iv, data), secret("word")); !errors.Is(err, signing.ErrPassphrase) {
		t.Errorf("well-formed and wrong: got %v", err)
	}
}
