// Package cheader writes a public key as a C99 header for libota. It holds
// what a device would otherwise have to compute or be told: the prepared
// values of Montgomery's method are made here and never read from the wire.
package cheader

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"

	"github.com/secure-ota/secure-ota/trust"
)

// ErrSymbol means that a name cannot be the prefix of C names.
var ErrSymbol = errors.New("not a C identifier")

// limbBits is the size of a limb. Targets with 16-bit limbs take each in two
// halves, the lower first.
const limbBits = 32

// Symbol makes a prefix for C names out of a key's name or file.
func Symbol(name string) string {
	name = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".pem"), ".pub")
	symbol := strings.Map(func(r rune) rune {
		if isLetter(r) || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, name)
	if symbol == "" || !isLetter(rune(symbol[0])) {
		symbol = "key_" + symbol
	}
	return symbol
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' }

// Header returns the header for a key. Its names begin with symbol:
//
//	RSA      symbol_id[32], symbol_n[], symbol_n0inv, symbol_rr[], SYMBOL_BITS
//	P-256    symbol_id[32], symbol_x[32], symbol_y[32], big-endian
//	Ed25519  symbol_id[32], symbol_key[32]
func Header(key trust.PublicKey, symbol, purpose string) ([]byte, error) {
	if symbol == "" || Symbol(symbol) != symbol {
		return nil, fmt.Errorf("C header: %q: %w", symbol, ErrSymbol)
	}
	upper := strings.ToUpper(symbol)
	var out bytes.Buffer
	fmt.Fprintf(&out, "/* Public key for %s: %s, %d bits. Made by \"ota key export\"; do not edit.\n * Key id %s */\n",
		purpose, key.Algorithm(), key.Bits(), key.ID())
	fmt.Fprintf(&out, "#ifndef OTA_KEY_%[1]s_H\n#define OTA_KEY_%[1]s_H\n\n#include <stdint.h>\n\n", upper)
	fmt.Fprintf(&out, "#define %s_ALG (%d) /* COSE: %s */\n", upper, int64(key.Algorithm()), key.Algorithm())
	fmt.Fprintf(&out, "#define %s_BITS %du\n\n", upper, key.Bits())
	id := key.ID()
	writeBytes(&out, symbol+"_id", "SHA-256 COSE Key Thumbprint (RFC 9679)", id[:])
	switch k := key.Key().(type) {
	case *rsa.PublicKey:
		writeRSA(&out, symbol, k)
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return nil, fmt.Errorf("C header: %w", err)
		}
		writeBytes(&out, symbol+"_x", "x, big-endian", point[1:33])
		writeBytes(&out, symbol+"_y", "y, big-endian", point[33:])
	case ed25519.PublicKey:
		writeBytes(&out, symbol+"_key", "RFC 8032 public key", k)
	}
	out.WriteString("#endif\n")
	return out.Bytes(), nil
}

func writeRSA(out *bytes.Buffer, symbol string, k *rsa.PublicKey) {
	count := k.N.BitLen() / limbBits
	base := new(big.Int).Lsh(big.NewInt(1), limbBits)
	r := new(big.Int).Lsh(big.NewInt(1), uint(count*limbBits))

	// n0' = -n^-1 mod 2^32, by which a reduction clears one limb at a time.
	n0 := new(big.Int).ModInverse(k.N, base)
	n0.Sub(base, n0)
	rr := new(big.Int).Mul(r, r)
	rr.Mod(rr, k.N)

	writeLimbs(out, symbol+"_n", "modulus, least significant limb first", k.N, count)
	fmt.Fprintf(out, "/* -n^-1 mod 2^32 */\nstatic const uint32_t %s_n0inv = 0x%08xu;\n\n", symbol, n0.Uint64())
	writeLimbs(out, symbol+"_rr", fmt.Sprintf("R^2 mod n with R = 2^%d, least significant limb first", count*limbBits), rr, count)
}

func writeLimbs(out *bytes.Buffer, name, comment string, v *big.Int, count int) {
	fmt.Fprintf(out, "/* %s */\nstatic const uint32_t %s[%d] = {", comment, name, count)
	mask := big.NewInt(1<<limbBits - 1)
	v = new(big.Int).Set(v)
	for i := range count {
		separate(out, i, 6)
		fmt.Fprintf(out, "0x%08xu", new(big.Int).And(v, mask).Uint64())
		v.Rsh(v, limbBits)
	}
	out.WriteString("\n};\n\n")
}

func writeBytes(out *bytes.Buffer, name, comment string, data []byte) {
	fmt.Fprintf(out, "/* %s */\nstatic const uint8_t %s[%d] = {", comment, name, len(data))
	for i, b := range data {
		separate(out, i, 12)
		fmt.Fprintf(out, "0x%02x", b)
	}
	out.WriteString("\n};\n\n")
}

// separate writes what stands between two elements of an array.
func separate(out *bytes.Buffer, i, perLine int) {
	switch {
	case i == 0:
		out.WriteString("\n\t")
	case i%perLine == 0:
		out.WriteString(",\n\t")
	default:
		out.WriteString(", ")
	}
}
