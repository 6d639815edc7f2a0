package native_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// BenchmarkSteadyCheck compares the update check that finds nothing new with
// the least that any JSON API does: both over a loopback connection that stays
// open.
func BenchmarkSteadyCheck(b *testing.B) {
	var clock atomic.Int64 // moves on a second each check, so that no rate limit is in the way
	clock.Store(time.Now().Unix())
	system := otatest.New(b, otatest.Options{Config: func(c *server.Config) {
		c.Now = func() time.Time { return time.Unix(clock.Add(1), 0) }
	}})
	image := []byte("firmware")
	release := system.Publish("1.0.0", image)
	keys := system.DeviceKeys(system.Device("dev-0001"))
	nonce := uint64(0)
	seal := func() []byte {
		nonce++
		raw, err := trust.CheckRequest{
			Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: nonce, Sequence: release.Sequence,
			ImageDigest: sha256.Sum256(image), KeysetVersion: 1,
		}.Seal(keys.Up)
		if err != nil {
			b.Fatal(err)
		}
		return raw
	}
	bare := httptest.NewServer(http.HandlerFunc(bareJSON))
	defer bare.Close()

	var check time.Duration
	b.Run("check", func(b *testing.B) {
		bodies := make([][]byte, b.N)
		for i := range bodies {
			bodies[i] = seal()
		}
		run(b, system.PlainURL+"/v1/check", "application/cose", func(i int) []byte { return bodies[i] })
		check = b.Elapsed() / time.Duration(b.N)
	})
	b.Run("bare", func(b *testing.B) {
		body, err := json.Marshal(map[string]any{"device": "dev-0001", "device_type": otatest.DeviceType, "nonce": 1,
			"sequence": manifest.NewSequence(1, 1), "image_digest": release.ImageDigest, "keyset_version": 1})
		if err != nil {
			b.Fatal(err)
		}
		run(b, bare.URL, "application/json", func(int) []byte { return body })
		if plain := b.Elapsed() / time.Duration(b.N); check > 0 && plain > 0 {
			b.ReportMetric(float64(check)/float64(plain), "check/bare")
		}
	})
}

func bareJSON(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Device string `json:"device"`
		Nonce  uint64 `json:"nonce"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"device": in.Device, "nonce": in.Nonce, "update": nil, "retry_seconds": 3600})
}

func run(b *testing.B, url, contentType string, body func(i int) []byte) {
	client := &http.Client{}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		resp, err := client.Post(url, contentType, bytes.NewReader(body(i)))
		if err != nil {
			b.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			b.Fatalf("status %d", resp.StatusCode)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	b.StopTimer()
}

// BenchmarkDownload fetches an image of 64 MiB over loopback: by sendfile, and
// through TLS.
func BenchmarkDownload(b *testing.B) {
	system := otatest.New(b)
	image := make([]byte, 64<<20)
	release := system.Publish("1.0.0", image)
	for name, base := range map[string]string{"plain": system.PlainURL, "TLS": system.URL} {
		b.Run(name, func(b *testing.B) {
			client := system.HTTPClient()
			b.SetBytes(int64(len(image)))
			for b.Loop() {
				resp, err := client.Get(base + "/v1/firmware/" + release.ImageDigest.String())
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(image)) {
					b.Fatal(n, err)
				}
				resp.Body.Close()
			}
		})
	}
}
