// Package cheader writes a public key as a C99 header for libota. It holds
// what a device would otherwise have to compute or be told: the prepared
// values of Montgomery's method are made here and never read from the wire.
package cheader

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/secure-ota/secure-ota/trust"
)

// ErrSymbol means that a name cannot be the prefix of C names.
var ErrSymbol = errors.New("not a C identifier")

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

// Header returns the header for a key, in the form that libota's verifiers
// take. Its names begin with symbol:
//
//	symbol_id[32], SYMBOL_ALG, SYMBOL_BITS
//	RSA     symbol, a struct ota_rsa_key, prepared
//	others  symbol, a struct ota_cose_key
func Header(key trust.PublicKey, symbol, purpose string) ([]byte, error) {
	if symbol == "" || Symbol(symbol) != symbol {
		return nil, fmt.Errorf("C header: %q: %w", symbol, ErrSymbol)
	}
	upper := strings.ToUpper(symbol)
	var out bytes.Buffer
	fmt.Fprintf(&out, "/* Public key for %s: %s, %d bits. Made by \"ota key export\"; do not edit.\n * Key id %s */\n",
		purpose, key.Algorithm(), key.Bits(), key.ID())
	fmt.Fprintf(&out, "#ifndef OTA_KEY_%[1]s_H\n#define OTA_KEY_%[1]s_H\n\n", upper)
	WriteIncludes(&out, key)
	fmt.Fprintf(&out, "#define %s_ALG (%d) /* COSE: %s */\n", upper, int64(key.Algorithm()), key.Algorithm())
	fmt.Fprintf(&out, "#define %s_BITS %du\n\n", upper, key.Bits())
	WriteKey(&out, symbol, key)
	out.WriteString("#endif\n")
	return out.Bytes(), nil
}

// WriteIncludes writes what has to stand before keys, once.
func WriteIncludes(out *bytes.Buffer, keys ...trust.PublicKey) {
	out.WriteString("#include <stdint.h>\n\n#include \"ota/cose_key.h\"\n#include \"ota/rsa.h\"\n\n")
	for _, key := range keys {
		if _, ok := key.Key().(*rsa.PublicKey); ok {
			fmt.Fprintf(out, rsaIncludes, key.Bits())
			return
		}
	}
}

// rsaIncludes lets one header serve parts with limbs of either size.
const rsaIncludes = `#if OTA_RSA_BITS != %[1]d
#error "compile with -DOTA_RSA_BITS=%[1]d"
#endif
#ifndef OTA_LIMBS
#if OTA_LIMB_BITS == 32
#define OTA_LIMBS(v) v
#else
#define OTA_LIMBS(v) (v) & 0xffffu, (v) >> 16
#endif
#endif

`

// WriteKey writes a key and its id.
func WriteKey(out *bytes.Buffer, symbol string, key trust.PublicKey) {
	id := key.ID()
	WriteBytes(out, symbol+"_id", "SHA-256 COSE Key Thumbprint (RFC 9679)", id[:])
	k, ok := key.Key().(*rsa.PublicKey)
	if !ok {
		WriteBytes(out, symbol+"_cose", "COSE_Key", key.COSEKey())
		fmt.Fprintf(out, "static const struct ota_cose_key %[1]s = {%[1]s_cose, sizeof %[1]s_cose};\n\n", symbol)
		return
	}
	p := Prepare(k)
	fmt.Fprintf(out, "/* -1/n modulo 2^32, n, 2^%d modulo n */\nstatic const struct ota_rsa_key %s = {\n\t0x%08xu,\n", 64*len(p.N), symbol, p.N0)
	writeLimbs(out, p.N)
	out.WriteString(",\n")
	writeLimbs(out, p.RR)
	out.WriteString("\n};\n\n")
}

func writeLimbs(out *bytes.Buffer, limbs []uint32) {
	out.WriteString("\t{")
	for i, limb := range limbs {
		separate(out, i, 4)
		fmt.Fprintf(out, "OTA_LIMBS(0x%08xu)", limb)
	}
	out.WriteString("\n\t}")
}

// WriteBytes writes an array of bytes.
func WriteBytes(out *bytes.Buffer, name, comment string, data []byte) {
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
