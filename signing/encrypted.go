package signing

import (
	"crypto/aes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/youmark/pkcs8"
)

// What opening an encrypted key may cost. The file names the cost, so without
// bounds a hostile or damaged file could take all memory or time there is.
const (
	maxScryptMemory     = 256 << 20 // bytes; ours takes 16 MiB
	maxScryptLanes      = 16
	maxPBKDF2Iterations = 10_000_000
)

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1} // then the mode
)

// Modes of AES-CBC with 128, 192 and 256 bits below oidAES.
const aes128CBC, aes192CBC, aes256CBC = 2, 22, 42

// An encryptedKey is the EncryptedPrivateKeyInfo of RFC 5958 under the PBES2 of
// RFC 8018.
type encryptedKey struct {
	Encryption pkix.AlgorithmIdentifier
	Data       []byte
}

type pbes2 struct {
	KDF    pkix.AlgorithmIdentifier
	Cipher pkix.AlgorithmIdentifier
}

// decrypt opens an encrypted PKCS#8 key.
func decrypt(der []byte, passphrase Passphrase) (any, error) {
	if err := checkEncrypted(der); err != nil {
		return nil, err
	}
	if passphrase == nil {
		return nil, ErrNoPassphrase
	}
	secret, err := passphrase()
	if err != nil {
		return nil, err
	}
	if len(secret) == 0 {
		return nil, ErrNoPassphrase
	}
	private, err := pkcs8.ParsePKCS8PrivateKey(der, secret)
	if err != nil {
		// The library's message would tell padding from structure, which is
		// of use to nobody who has the passphrase.
		return nil, ErrPassphrase
	}
	return private, nil
}

// checkEncrypted looks at the parameters before anything is derived or
// decrypted: the library takes any cost, and panics on lengths that do not fit
// the cipher.
func checkEncrypted(der []byte) error {
	var info encryptedKey
	var params pbes2
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: the encrypted key is damaged", ErrNotPrivate)
	}
	if !info.Encryption.Algorithm.Equal(oidPBES2) || !unmarshalParams(info.Encryption, &params) {
		return unsupportedEncryption("scheme", info.Encryption)
	}
	var iv []byte
	if !isAESCBC(params.Cipher.Algorithm) || !unmarshalParams(params.Cipher, &iv) {
		return unsupportedEncryption("cipher", params.Cipher)
	}
	if len(iv) != aes.BlockSize || len(info.Data) == 0 || len(info.Data)%aes.BlockSize != 0 {
		return fmt.Errorf("%w: the encrypted key is damaged", ErrNotPrivate)
	}
	return checkKDF(params.KDF)
}

func checkKDF(kdf pkix.AlgorithmIdentifier) error {
	switch {
	case kdf.Algorithm.Equal(oidScrypt):
		var p struct {
			Salt    []byte
			N, R, P int
		}
		if !unmarshalParams(kdf, &p) {
			return unsupportedEncryption("scrypt parameters", kdf)
		}
		if p.N < 2 || p.R < 1 || p.P < 1 || p.P > maxScryptLanes || p.N > maxScryptMemory/128 || p.R > maxScryptMemory/128/p.N {
			return fmt.Errorf("%w: scrypt with N=%d, r=%d, p=%d is outside the bounds of %d MiB and p=%d",
				ErrNotPrivate, p.N, p.R, p.P, maxScryptMemory>>20, maxScryptLanes)
		}
		return nil
	case kdf.Algorithm.Equal(oidPBKDF2):
		var p struct {
			Salt       []byte
			Iterations int
			PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
		}
		if !unmarshalParams(kdf, &p) {
			return unsupportedEncryption("PBKDF2 parameters", kdf)
		}
		if prf := p.PRF.Algorithm; len(prf) != 0 && !prf.Equal(oidHMACSHA1) && !prf.Equal(oidHMACSHA256) {
			return unsupportedEncryption("PBKDF2 under", p.PRF)
		}
		if p.Iterations < 1 || p.Iterations > maxPBKDF2Iterations {
			return fmt.Errorf("%w: PBKDF2 with %d iterations, at most %d", ErrNotPrivate, p.Iterations, maxPBKDF2Iterations)
		}
		return nil
	}
	return unsupportedEncryption("key derivation", kdf)
}

func isAESCBC(oid asn1.ObjectIdentifier) bool {
	n := len(oidAES)
	if len(oid) != n+1 || !oid[:n].Equal(oidAES) {
		return false
	}
	return oid[n] == aes128CBC || oid[n] == aes192CBC || oid[n] == aes256CBC
}

func unmarshalParams(alg pkix.AlgorithmIdentifier, v any) bool {
	rest, err := asn1.Unmarshal(alg.Parameters.FullBytes, v)
	return err == nil && len(rest) == 0
}

func unsupportedEncryption(what string, alg pkix.AlgorithmIdentifier) error {
	return fmt.Errorf("%w: the key is encrypted with %s %s, which is not supported; convert it with \"openssl pkcs8 -topk8 -scrypt\"",
		ErrNotPrivate, what, alg.Algorithm)
}
