package testvectors

import (
	"math/big"
	"testing"
)

// TestOffsetsGivePrimes shows that the RSA keys are keys: what the offsets lead
// to is prime, and fits the exponent.
func TestOffsetsGivePrimes(t *testing.T) {
	for name, spec := range rsaSpecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if spec.bits > 2048 && testing.Short() {
				t.Skip("large keys are checked without -short")
			}
			for i, half := range []string{" p", " q"} {
				p := primeStart(name+half, spec.bits/2)
				p.Add(p, big.NewInt(2*spec.offsets[i]))
				if !usablePrime(p, spec.e) {
					t.Errorf("%s: half %d is not a prime for exponent %d", name, i, spec.e)
				}
			}
		})
	}
}

func TestFindOffsetsFindsWhatTheTableHolds(t *testing.T) {
	const name = "small"
	spec := rsaSpecs[name]
	if got := findOffsets(name, spec.bits, spec.e); got != spec.offsets {
		t.Errorf("offsets of %q are %v, the table says %v", name, got, spec.offsets)
	}
}
