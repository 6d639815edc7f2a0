package cheader

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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

// limbs reads an array out of a header, least significant limb first.
func limbs(t *testing.T, text, name string) *big.Int {
	t.Helper()
	m := regexp.MustCompile(name + `\[\d+\] = \{([^}]*)\}`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", name, text)
	}
	v, parts := new(big.Int), strings.Split(m[1], ",")
	for i := len(parts) - 1; i >= 0; i-- {
		limb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(parts[i]), "u"), 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		v.Or(v.Lsh(v, 32), new(big.Int).SetUint64(limb))
	}
	return v
}

func TestPreparedValuesAreRight(t *testing.T) {
	key, text := header(t, trust.PS256)
	n := key.Key().(*rsa.PublicKey).N
	if limbs(t, text, "k_n").Cmp(n) != 0 {
		t.Error("the modulus is another")
	}
	rr := new(big.Int).Exp(big.NewInt(2), big.NewInt(4096), n)
	if limbs(t, text, "k_rr").Cmp(rr) != 0 {
		t.Error("rr is not R^2 mod n")
	}
	m := regexp.MustCompile(`k_n0inv = (0x[0-9a-f]{8})u`).FindStringSubmatch(text)
	n0inv, err := strconv.ParseUint(m[1], 0, 32)
	if err != nil {
		t.Fatal(err)
	}
	if low := uint32(new(big.Int).And(n, big.NewInt(1<<32-1)).Uint64()); low*uint32(n0inv) != ^uint32(0) {
		t.Error("n * n0inv is not -1 mod 2^32")
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
	build := exec.Command(cc, "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-o", "main", "main.c")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(dir, "main")).Output()
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

int main(void) {
	uint32_t t[66] = {0};
	for (int i = 0; i < 64; i++) {
		uint64_t c = 0;
		for (int j = 0; j < 64; j++) {
			c += (uint64_t)k_rr[i] * k_rr[j] + t[j];
			t[j] = (uint32_t)c; c >>= 32;
		}
		c += t[64]; t[64] = (uint32_t)c; t[65] = (uint32_t)(c >> 32);
		uint32_t m = t[0] * k_n0inv;
		c = ((uint64_t)m * k_n[0] + t[0]) >> 32;
		for (int j = 1; j < 64; j++) {
			c += (uint64_t)m * k_n[j] + t[j];
			t[j - 1] = (uint32_t)c; c >>= 32;
		}
		c += t[64]; t[63] = (uint32_t)c; t[64] = t[65] + (uint32_t)(c >> 32);
	}
	int less = t[64] == 0;
	for (int j = 63; less && j >= 0 && t[j] >= k_n[j]; j--) if (t[j] > k_n[j] || j == 0) less = 0;
	if (!less) {
		uint64_t borrow = 0;
		for (int j = 0; j < 64; j++) {
			uint64_t d = (uint64_t)t[j] - k_n[j] - borrow;
			t[j] = (uint32_t)d; borrow = d >> 63;
		}
	}
	for (int j = 63; j >= 0; j--) printf("%08lx", (unsigned long)t[j]);
	return K_BITS == 2048u && K_ALG == -37 && k_id[0] == k_id[0] ? 0 : 1;
}
`

func TestOtherKeysAreBytes(t *testing.T) {
	for alg, name := range map[trust.Algorithm]string{trust.ESP256: "k_y[32]", trust.Ed25519: "k_key[32]"} {
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
