package offline

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// Why a bare signature of the right length does not verify, as far as its
// padding tells.
var (
	ErrModified = errors.New("this key signed another file, or the file was modified since")
	ErrOtherKey = errors.New("it was made with another key, or is damaged")
	ErrSalt     = errors.New("made with another salt length than 32")
	ErrPKCS1    = errors.New("it is a PKCS#1 v1.5 signature, not RSA-PSS")
)

// diagnose says why a signature does not verify. It looks at what the public
// key makes of it: the padding of RSA-PSS (RFC 8017 section 9.1.2) shows
// whether the signature is by this key at all, and of which kind. It is a hint
// for people; the verdict is not its business.
func diagnose(key trust.PublicKey, digest manifest.Digest, sig []byte) error {
	public, ok := key.Key().(*rsa.PublicKey)
	s := new(big.Int).SetBytes(sig)
	if !ok || s.Cmp(public.N) >= 0 {
		return ErrOtherKey
	}
	em := make([]byte, public.Size())
	s.Exp(s, big.NewInt(int64(public.E)), public.N).FillBytes(em)
	if em[0] == 0 && em[1] == 1 && bytes.HasPrefix(em[2:], bytes.Repeat([]byte{0xff}, 8)) {
		return ErrPKCS1
	}
	salt, h, ok := openPSS(em)
	if !ok {
		return ErrOtherKey
	}
	sum := sha256.New()
	sum.Write(make([]byte, 8))
	sum.Write(digest[:])
	sum.Write(salt)
	if !bytes.Equal(sum.Sum(nil), h) {
		return ErrModified
	}
	return fmt.Errorf("%w: %d", ErrSalt, len(salt))
}

// openPSS takes an encoded message apart into its salt, of whatever length,
// and its hash. It fails for what no PSS signature by this key decrypts to.
func openPSS(em []byte) (salt, hash []byte, ok bool) {
	n := len(em) - sha256.Size - 1
	if em[len(em)-1] != 0xbc || em[0]&0x80 != 0 {
		return nil, nil, false
	}
	hash = em[n : n+sha256.Size]
	db := bytes.Clone(em[:n])
	for i := 0; i < len(db); i += sha256.Size {
		block := sha256.Sum256(binary.BigEndian.AppendUint32(bytes.Clone(hash), uint32(i/sha256.Size)))
		for j := 0; j < len(block) && i+j < len(db); j++ {
			db[i+j] ^= block[j]
		}
	}
	db[0] &= 0x7f
	salt = bytes.TrimLeft(db, "\x00")
	if len(salt) == 0 || salt[0] != 1 {
		return nil, nil, false
	}
	return salt[1:], hash, true
}
