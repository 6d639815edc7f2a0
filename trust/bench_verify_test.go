package trust_test

import (
	"testing"

	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

// BenchmarkVerifyManifest is the cost of believing a manifest, by algorithm.
func BenchmarkVerifyManifest(b *testing.B) {
	for _, k := range []*tv.Key{release1, releaseP256, releaseEd} {
		b.Run(k.Public().Algorithm().String(), func(b *testing.B) {
			ks := keyset(1)
			ks.Releases = []trust.SignerKey{k.Signer(1)}
			h := holding(b, ks, rootA, rootB)
			raw := signManifest(b, release(1, 5, "2.1.0"), k)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.VerifyManifest(raw, ring); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAcceptKeyset(b *testing.B) {
	h := held(b, 1)
	raw := signKeyset(b, keyset(2), rootA, rootB)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Accept(raw, ring); err != nil {
			b.Fatal(err)
		}
	}
}
