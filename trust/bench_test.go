package trust_test

import (
	"testing"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// BenchmarkCheck is the server's part of one update check of a keyed device:
// open the request, seal the answer.
func BenchmarkCheck(b *testing.B) {
	id := trust.DeviceID{Vendor: "acme", DeviceType: "sensor_v1", ID: "dev-0001"}
	keys, err := trust.FleetMaster{1}.DeviceKeys(id, 1)
	if err != nil {
		b.Fatal(err)
	}
	request, err := trust.CheckRequest{
		Device: id.ID, DeviceType: id.DeviceType, Nonce: 7, Sequence: manifest.NewSequence(1, 4),
		ImageDigest: manifest.Digest{1}, KeysetVersion: 1,
	}.Seal(keys.Up)
	if err != nil {
		b.Fatal(err)
	}
	keyOf := func(string, string) (trust.DeviceKey, error) { return keys.Up, nil }
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := trust.OpenCheckRequest(request, keyOf); err != nil {
				b.Fatal(err)
			}
		}
	})
	response := trust.CheckResponse{
		Device: id.ID, Nonce: 7, ServerTime: 1_790_000_000, KeysetVersion: 1, RetrySeconds: 3600,
		ManifestHash: manifest.Digest{2}, ManifestSize: 612,
	}
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := response.Seal(keys.Down); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("derive", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (trust.FleetMaster{1}).DeviceKeys(id, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
