package cheader

import (
	"crypto/rsa"
	"encoding/binary"
	"math/big"
)

// limbBits is the size of a limb here. Parts with 16-bit limbs take each in two
// halves, the lower first.
const limbBits = 32

// Prepared is libota's struct ota_rsa_key: a key with what Montgomery's
// multiplication needs. It is stored where only the device writes, and never
// taken from the wire. Limbs are the least significant first.
type Prepared struct {
	N0 uint32   // -1/n modulo 2^32, by which a reduction clears one limb at a time
	N  []uint32 // modulus
	RR []uint32 // 2^(2*bits) modulo n
}

// Prepare computes what a device would have to compute for itself.
func Prepare(key *rsa.PublicKey) Prepared {
	count := key.N.BitLen() / limbBits
	base := new(big.Int).Lsh(big.NewInt(1), limbBits)
	n0 := new(big.Int).ModInverse(key.N, base)
	n0.Sub(base, n0)
	rr := new(big.Int).Lsh(big.NewInt(1), uint(2*count*limbBits))
	rr.Mod(rr, key.N)
	return Prepared{uint32(n0.Uint64()), limbs(key.N, count), limbs(rr, count)}
}

func limbs(v *big.Int, count int) []uint32 {
	raw := v.FillBytes(make([]byte, count*limbBits/8))
	out := make([]uint32, count)
	for i := range out {
		out[i] = binary.BigEndian.Uint32(raw[len(raw)-4*(i+1):])
	}
	return out
}

// Bytes returns the struct as it stands in the memory of a little-endian part,
// whatever the size of its limbs.
func (p Prepared) Bytes() []byte {
	out := binary.LittleEndian.AppendUint32(nil, p.N0)
	for _, limb := range append(append([]uint32(nil), p.N...), p.RR...) {
		out = binary.LittleEndian.AppendUint32(out, limb)
	}
	return out
}
