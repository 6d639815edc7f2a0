package testvectors

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
)

// An rsaKey is an RSA key that is derived, not generated: the vectors must come
// out the same on every machine, and a private key must not stand in the
// repository. crypto/rsa takes neither chosen primes nor a chosen salt, so key
// and signature are computed here, in the open and not in constant time.
type rsaKey struct {
	n, e, d *big.Int
}

// deriveRSA takes as primes the numbers offsets[0] and offsets[1] odd steps
// after a number that the seed gives. The offsets were found by findOffsets;
// keeping them makes deriving a key a matter of microseconds.
func deriveRSA(seed string, bits int, e int64, offsets [2]int64) rsaKey {
	p := primeStart(seed+" p", bits/2)
	q := primeStart(seed+" q", bits/2)
	p.Add(p, big.NewInt(2*offsets[0]))
	q.Add(q, big.NewInt(2*offsets[1]))
	one := big.NewInt(1)
	k := rsaKey{n: new(big.Int).Mul(p, q), e: big.NewInt(e)}
	phi := new(big.Int).Mul(p.Sub(p, one), q.Sub(q, one))
	k.d = new(big.Int).ModInverse(k.e, phi)
	return k
}

// primeStart expands a seed to an odd number of that many bits whose two upper
// bits are set, so that the product of two has twice as many bits.
func primeStart(seed string, bits int) *big.Int {
	start := new(big.Int).SetBytes(expand(seed, bits/8))
	start.SetBit(start, 0, 1)
	start.SetBit(start, bits-1, 1)
	return start.SetBit(start, bits-2, 1)
}

// findOffsets searches for the two primes of a key.
func findOffsets(seed string, bits int, e int64) (offsets [2]int64) {
	for i, half := range []string{" p", " q"} {
		candidate := primeStart(seed+half, bits/2)
		for !usablePrime(candidate, e) {
			candidate.Add(candidate, big.NewInt(2))
			offsets[i]++
		}
	}
	return offsets
}

// usablePrime reports whether p is prime and e invertible modulo p-1.
func usablePrime(p *big.Int, e int64) bool {
	minusOne := new(big.Int).Sub(p, big.NewInt(1))
	gcd := new(big.Int).GCD(nil, nil, minusOne, big.NewInt(e))
	return gcd.IsInt64() && gcd.Int64() == 1 && p.ProbablyPrime(20)
}

// signPSS makes an RSASSA-PSS signature (RFC 8017 section 8.1.1) with SHA-256,
// MGF1-SHA-256 and a salt of the given length that the message determines.
func (k rsaKey) signPSS(digest []byte, saltSize int) []byte {
	emBits := k.n.BitLen() - 1
	emSize := (emBits + 7) / 8
	salt := expand("salt "+string(digest), saltSize)
	inner := sha256.Sum256(bytes.Join([][]byte{make([]byte, 8), digest, salt}, nil))

	db := make([]byte, emSize-sha256.Size-1)
	db[len(db)-saltSize-1] = 1
	copy(db[len(db)-saltSize:], salt)
	mask := mgf1(inner[:], len(db))
	for i := range db {
		db[i] ^= mask[i]
	}
	db[0] &= 0xff >> (8*emSize - emBits)
	em := bytes.Join([][]byte{db, inner[:], {0xbc}}, nil)

	s := new(big.Int).Exp(new(big.Int).SetBytes(em), k.d, k.n)
	return s.FillBytes(make([]byte, (k.n.BitLen()+7)/8))
}

// signPKCS1v15 makes an RSASSA-PKCS1-v1_5 signature (RFC 8017 section 8.2.1),
// which nothing here accepts.
func (k rsaKey) signPKCS1v15(digest []byte) []byte {
	size := (k.n.BitLen() + 7) / 8
	info := append([]byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), digest...)
	em := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(info)-3)...)
	em = append(append(em, 0), info...)
	s := new(big.Int).Exp(new(big.Int).SetBytes(em), k.d, k.n)
	return s.FillBytes(make([]byte, size))
}

func mgf1(seed []byte, size int) []byte {
	var out []byte
	for i := uint32(0); len(out) < size; i++ {
		block := sha256.Sum256(binary.BigEndian.AppendUint32(bytes.Clone(seed), i))
		out = append(out, block[:]...)
	}
	return out[:size]
}

// expand makes size bytes out of a seed: SHA-256 of the seed and a counter.
func expand(seed string, size int) []byte { return mgf1([]byte("secure-ota test vectors "+seed), size) }
