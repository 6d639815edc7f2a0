package bench

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// A field is a data directory with devices that run its newest release.
type field struct {
	dir     string
	count   int
	runs    fleet.Running
	deriver *trust.KeyDeriver
	nonce   uint64
	random  *rand.Rand
	big     string // digest of a large image, in hex
}

var fieldImage = []byte("firmware 1.0.0")

// newField makes a data directory of count devices. OTA_BENCH_FIELD names one
// that is made once and used again: a million devices take a minute.
func newField(t *testing.T, count int) *field {
	t.Helper()
	f := &field{
		dir: os.Getenv("OTA_BENCH_FIELD"), count: count, random: rand.New(rand.NewPCG(1, 2)),
		nonce: uint64(time.Now().UnixMicro()), // above those of the run before
	}
	if f.dir == "" {
		f.dir = t.TempDir()
	}
	f.runs = fleet.Running{Sequence: 1<<32 | 2, Digest: sha256.Sum256(fieldImage)}
	if _, err := os.Stat(filepath.Join(f.dir, "ota.db")); err != nil {
		t.Run("make", f.make)
	}
	master, err := auth.OpenMasters(filepath.Join(f.dir, "secrets")).Load(otatest.DeviceType)
	if err != nil {
		t.Fatal(err)
	}
	f.deriver = master.Deriver()
	return f
}

func (f *field) make(t *testing.T) {
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) { c.Dir = f.dir }})
	s.Publish("0.9.0", bigImage(scaleOf().download))
	s.Publish("1.0.0", fieldImage)
	devices, err := fleet.Open(t.Context(), fleet.Config{Repository: s.Server.Repository(), Masters: auth.OpenMasters(filepath.Join(f.dir, "secrets"))})
	if err != nil {
		t.Fatal(err)
	}
	defer devices.Close(t.Context())
	err = devices.Populate(t.Context(), auth.Actor{Name: "bench", Role: auth.Administrator}, otatest.DeviceType, f.count, func(i int) fleet.Seed {
		return fleet.Seed{
			NewDevice: fleet.NewDevice{
				Ref: fleet.Ref{DeviceType: otatest.DeviceType, ID: f.id(i)}, Level: fleet.Keyed, HardwareRevision: "B",
				Labels: map[string]string{"site": fmt.Sprint("site-", i%50)},
			},
			Installed: f.runs, KeysetVersion: 1,
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *field) id(i int) string { return fmt.Sprintf("dev-%07d", i) }

// A question is a sealed check and what opens its answer.
type question struct {
	device string
	nonce  uint64
	keys   trust.DeviceKeys
}

// checks returns HTTP requests of devices drawn at random, none twice, with
// new nonces.
func (f *field) checks(t testing.TB, count int) (requests [][]byte, questions []question) {
	t.Helper()
	for _, i := range f.random.Perm(f.count)[:count] {
		f.nonce++
		q := question{device: f.id(i), nonce: f.nonce}
		var err error
		q.keys, err = f.deriver.DeviceKeys(trust.DeviceID{Vendor: otatest.Vendor, DeviceType: otatest.DeviceType, ID: q.device}, 1)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := trust.CheckRequest{
			Device: q.device, DeviceType: otatest.DeviceType, Nonce: q.nonce, Sequence: f.runs.Sequence, ImageDigest: f.runs.Digest, KeysetVersion: 1,
		}.Seal(q.keys.Up)
		if err != nil {
			t.Fatal(err)
		}
		requests, questions = append(requests, request("/v1/check", "application/cose", raw)), append(questions, q)
	}
	return requests, questions
}

// verify checks that the answer is the device's own, fresh, and that there is
// nothing to install.
func (q question) verify(body []byte) error {
	answer, err := trust.OpenCheckResponse(body, q.keys.Down, q.device, q.nonce)
	if err == nil && !answer.ManifestHash.IsZero() {
		err = fmt.Errorf("device %s is offered what it runs", q.device)
	}
	return err
}
