package rollout_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// BenchmarkCheckInARollout compares, in one run and in turns, an update check
// of a device that waits for a rollout with one that finds nothing newer: both
// with all that a protocol does but for HTTP. With OTA_BENCH=1 the largest
// fleet is a million devices.
func BenchmarkCheckInARollout(b *testing.B) {
	sizes := []int{1_000, 100_000}
	if os.Getenv("OTA_BENCH") == "1" {
		sizes = append(sizes, 1_000_000)
	}
	for _, size := range sizes {
		plain := newPopulation(b, size, true)
		plain.newest()
		for _, c := range []struct {
			name   string
			change func(*rollout.Spec)
		}{
			{"paced", func(s *rollout.Spec) { all(s); s.Pace = 1 }},
			{"exhausted", func(s *rollout.Spec) { all(s); s.MaxUnproven = 1 }},
			{"later stage", in(b, "1,gate", "100%")},
			{"filtered", func(s *rollout.Spec) { all(s); s.Pace = 1; s.Filter = "label.site=berlin or label.site=site-*" }},
		} {
			b.Run(fmt.Sprintf("%s/devices=%d", c.name, size), func(b *testing.B) {
				waits := newPopulation(b, size, false)
				waits.begin(waits.spec("spring", waits.newer, c.change))
				compare(b, plain, waits)
			})
		}
	}
}

// compare has both populations check in turns, a batch of each, the order
// reversed each time. The figures are medians: what else the machine does
// hits a few batches.
func compare(b *testing.B, plain, waits *population) {
	const batch = 500
	plain.ask(b, plain.seal(b, batch)) // and the first of the rollout are offered the release
	waits.ask(b, waits.seal(b, batch))
	var alone, inRollout, ratios []float64 // ns a check
	timed := func(p *population) float64 {
		requests := p.seal(b, batch)
		began := time.Now()
		p.ask(b, requests)
		return float64(time.Since(began).Nanoseconds()) / batch
	}
	for round := 0; b.Loop(); round++ {
		var x, y float64
		if round%2 == 0 {
			x, y = timed(plain), timed(waits)
		} else {
			y, x = timed(waits), timed(plain)
		}
		alone, inRollout, ratios = append(alone, x), append(inRollout, y), append(ratios, y/x)
	}
	b.ReportMetric(0, "ns/op") // of a round, which says nothing
	b.ReportMetric(median(alone), "plain-ns/check")
	b.ReportMetric(median(inRollout), "rollout-ns/check")
	b.ReportMetric(median(ratios), "rollout/plain")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// A population is a fleet whose devices ask again and again.
type population struct {
	*world
	size    int
	runs    fleet.Running
	newer   repository.Release
	deriver *trust.KeyDeriver
	nonce   uint64
	random  *rand.Rand
}

// newPopulation has devices that run one of two releases.
func newPopulation(b *testing.B, size int, newest bool) *population {
	b.Helper()
	w := newWorldIn(b, quickDir(b))
	p := &population{world: w, size: size, runs: runs(w.publish("1.0.0")), newer: w.publish("1.1.0"), random: rand.New(rand.NewPCG(1, 2))}
	if newest {
		p.runs = runs(p.newer)
	}
	err := w.Fleet().Populate(b.Context(), admin, deviceType, size, func(i int) fleet.Seed {
		return fleet.Seed{
			NewDevice: fleet.NewDevice{
				Ref: fleet.Ref{DeviceType: deviceType, ID: p.id(i)}, Level: fleet.Keyed, Labels: map[string]string{"site": fmt.Sprint("site-", i%50)},
			},
			Installed: p.runs, KeysetVersion: 1,
		}
	})
	w.must(err)
	p.deriver = must(auth.OpenMasters(filepath.Join(w.dir, repository.SecretsName)).Load(deviceType))(b).Deriver()
	return p
}

func (p *population) id(i int) string { return fmt.Sprintf("dev-%07d", i) }

// seal makes checks of devices drawn at random.
func (p *population) seal(b *testing.B, count int) (requests [][]byte) {
	b.Helper()
	for range count {
		p.nonce++
		id := p.id(p.random.IntN(p.size))
		keys := must(p.deriver.DeviceKeys(trust.DeviceID{Vendor: "acme", DeviceType: deviceType, ID: id}, 1))(b)
		requests = append(requests, must(trust.CheckRequest{
			Device: id, DeviceType: deviceType, Nonce: p.nonce, Sequence: p.runs.Sequence, ImageDigest: p.runs.Digest, KeysetVersion: 1,
		}.Seal(keys.Up))(b))
	}
	return requests
}

// ask answers sealed checks, two milliseconds after each other.
func (p *population) ask(b *testing.B, requests [][]byte) {
	for _, raw := range requests {
		p.ms.Add(2)
		sender := p.Fleet().Sender("")
		req, err := trust.OpenCheckRequest(raw, sender.UpKey)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := sender.Check(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		key, err := sender.DownKey()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := answer.Seal(key); err != nil {
			b.Fatal(err)
		}
	}
}
