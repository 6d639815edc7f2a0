package cheader

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

func header(t *testing.T, alg trust.Algorithm) (trust.PublicKey, string) {
	t.Helper()
	k, err := signing.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Header(k.Public(), "k", "a test")
	if err != nil {
		t.Fatal(err)
	}
	return k.Public(), string(text)
}

func TestPreparedValuesAreRight(t *testing.T) {
	key, _ := header(t, trust.PS256)
	n := key.Key().(*rsa.PublicKey).N
	p := Prepare(key.Key().(*rsa.PublicKey))
	value := func(limbs []uint32) *big.Int {
		v := new(big.Int)
		for _, limb := range slices.Backward(limbs) {
			v.Or(v.Lsh(v, 32), big.NewInt(int64(limb)))
		}
		return v
	}
	if value(p.N).Cmp(n) != 0 {
		t.Error("the modulus is another")
	}
	if value(p.RR).Cmp(new(big.Int).Exp(big.NewInt(2), big.NewInt(4096), n)) != 0 {
		t.Error("rr is not R^2 mod n")
	}
	if p.N[0]*p.N0 != ^uint32(0) {
		t.Error("n * n0 is not -1 mod 2^32")
	}
}

// The header compiles without a warning, twice in one unit, and a Montgomery
// multiplication with its values alone computes what Go computes.
func TestHeaderWorksInC(t *testing.T) {
	cc := testenv.Tool(t, "cc", "gcc")
	key, text := header(t, trust.PS256)
	n := key.Key().(*rsa.PublicKey).N
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("k.h", text)
	write("main.c", montgomery)
	include, err := filepath.Abs(filepath.Join("..", "..", "..", "..", "libota", "include"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bits := range []string{"16", "32"} {
		// A part with small limbs takes the same header without a warning.
		build := exec.Command(cc, "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror",
			"-DOTA_LIMB_BITS="+bits, "-I"+include, "-o", "main"+bits, "main.c")
		build.Dir = dir
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	out, err := exec.Command(filepath.Join(dir, "main32")).Output()
	if err != nil {
		t.Fatal(err)
	}
	// Montgomery form of R^2: R^2 * R^2 / R = R^3 mod n.
	want := new(big.Int).Exp(big.NewInt(2), big.NewInt(3*2048), n)
	if got := strings.TrimSpace(string(out)); got != fmt.Sprintf("%0512x", want) {
		t.Errorf("C computes %s", got)
	}
}

const montgomery = `#include <stdio.h>
#include "k.h"
#include "k.h"

#if OTA_LIMB_BITS == 16
int main(void) { return k.n0 == 0; }
#else
int main(void) {
	uint32_t t[66] = {0};
	for (int i = 0; i < 64; i++) {
		uint64_t c = 0;
		for (int j = 0; j < 64; j++) {
			c += (uint64_t)k.rr[i] * k.rr[j] + t[j];
			t[j] = (uint32_t)c; c >>= 32;
		}
		c += t[64]; t[64] = (uint32_t)c; t[65] = (uint32_t)(c >> 32);
		uint32_t m = t[0] * k.n0;
		c = ((uint64_t)m * k.n[0] + t[0]) >> 32;
		for (int j = 1; j < 64; j++) {
			c += (uint64_t)m * k.n[j] + t[j];
			t[j - 1] = (uint32_t)c; c >>= 32;
		}
		c += t[64]; t[63] = (uint32_t)c; t[64] = t[65] + (uint32_t)(c >> 32);
	}
	int less = t[64] == 0;
	for (int j = 63; less && j >= 0 && t[j] >= k.n[j]; j--) if (t[j] > k.n[j] || j == 0) less = 0;
	if (!less) {
		uint64_t borrow = 0;
		for (int j = 0; j < 64; j++) {
			uint64_t d = (uint64_t)t[j] - k.n[j] - borrow;
			t[j] = (uint32_t)d; borrow = d >> 63;
		}
	}
	for (int j = 63; j >= 0; j--) printf("%08lx", (unsigned long)t[j]);
	return K_BITS == 2048u && K_ALG == -37 && k_id[0] == k_id[0] ? 0 : 1;
}
#endif
`

func TestOtherKeysAreCOSEKeys(t *testing.T) {
	for alg, name := range map[trust.Algorithm]string{trust.ESP256: "k_cose[75]", trust.Ed25519: "k_cose[40]"} {
		if _, text := header(t, alg); !strings.Contains(text, name) || !strings.Contains(text, "k_id[32]") {
			t.Errorf("%s: no %s in\n%s", alg, name, text)
		}
	}
}

func TestSymbols(t *testing.T) {
	for name, want := range map[string]string{
		"root-1": "root_1", "dir/release-sensor_v1-1.pub.pem": "release_sensor_v1_1", "1x": "key_1x", "a:b.c": "a_b_c",
	} {
		if got := Symbol(name); got != want {
			t.Errorf("Symbol(%q) = %q, want %q", name, got, want)
		}
	}
	k, err := signing.Generate(trust.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := Header(k.Public(), "x; system(0)", ""); err == nil || bytes.Contains(text, []byte("system")) {
		t.Error("a symbol that is none is written")
	}
}
