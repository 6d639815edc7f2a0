package repository

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/trust"
)

// BenchmarkPublish compares a durable publication with what it cannot do
// without: the hash of the image and two fsyncs, of the file and of its
// directory. Both are measured in turn in one run; the ratio is of the medians
// of wall time.
func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct{ publishers, size int }{{1, 64 << 10}, {1, 1 << 20}, {1, 64 << 20}, {8, 64 << 10}, {8, 1 << 20}} {
		b.Run(fmt.Sprintf("%dx%dKiB", c.publishers, c.size>>10), func(b *testing.B) {
			r := openDir(b, b.TempDir())
			var vendors []*vendor
			for i := range c.publishers {
				v := newVendor(fmt.Sprint("type", i))
				if _, err := r.AddKeyset(ctx(), alice, v.keyset(1)); err != nil {
					b.Fatal(err)
				}
				vendors = append(vendors, v)
			}
			image := bytes.Repeat([]byte{1, 2, 3, 4}, c.size/4)
			var ours, bare laps
			b.SetBytes(int64(c.size * c.publishers))
			for n := 1; b.Loop(); n++ {
				bundles, images := make([]trust.Bundle, c.publishers), make([][]byte, c.publishers)
				for i, v := range vendors {
					images[i] = bytes.Clone(image)
					copy(images[i], fmt.Sprint(i, " ", n))
					bundles[i], _ = v.release(draft{number: uint32(n), version: fmt.Sprintf("1.%d.0", n), image: images[i]})
				}
				ours = append(ours, atOnce(b, c.publishers, func(i int) error {
					_, err := r.AddFirmware(ctx(), alice, bundles[i], bytes.NewReader(images[i]))
					return err
				}))
				bare = append(bare, atOnce(b, c.publishers, func(i int) error {
					return twoSyncs(filepath.Join(r.dir, fmt.Sprint("bare", i, n)), images[i])
				}))
			}
			b.ReportMetric(ours.over(bare), "x_hash+2_fsyncs")
		})
	}
}

// laps are repeated measurements of one thing.
type laps []time.Duration

// over returns how many times longer the median of l is: what else the machine
// does at times falls on neither.
func (l laps) over(bare laps) float64 {
	slices.Sort(l)
	slices.Sort(bare)
	return float64(l[len(l)/2]) / float64(bare[len(bare)/2])
}

// atOnce runs f so many times in parallel.
func atOnce(b *testing.B, times int, f func(i int) error) time.Duration {
	var all sync.WaitGroup
	start := time.Now()
	for i := range times {
		all.Go(func() {
			if err := f(i); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	return time.Since(start)
}

func twoSyncs(name string, image []byte) error {
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	sha256.Sum256(image)
	_, err = f.Write(image)
	return errors.Join(err, f.Sync(), f.Close(), os.Rename(name+".new", name), fsatomic.OS().SyncDir(filepath.Dir(name)))
}

// BenchmarkDuplicate compares publishing what is there with the hash of its
// image.
func BenchmarkDuplicate(b *testing.B) {
	for _, size := range []int{1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			v := newVendor("sensor_v1")
			r := started(b, v)
			d := draft{number: 1, version: "1.0.0", image: bytes.Repeat([]byte{7}, size)}
			publish(b, r, v, d)
			bundle, image := v.release(d)
			var ours, bare laps
			b.SetBytes(int64(size))
			for b.Loop() {
				start := time.Now()
				if _, err := r.AddFirmware(ctx(), alice, bundle, bytes.NewReader(image)); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				sha256.Sum256(image)
				ours, bare = append(ours, middle.Sub(start)), append(bare, time.Since(middle))
			}
			b.ReportMetric(ours.over(bare), "x_SHA-256")
		})
	}
}

// BenchmarkVersions is what a server does to load its snapshot.
func BenchmarkVersions(b *testing.B) {
	v := newVendor("sensor_v1")
	r := started(b, v)
	const releases = 200
	for n := range releases {
		publish(b, r, v, draft{number: uint32(n + 1), version: fmt.Sprintf("1.%d.0", n)})
	}
	for name, fresh := range map[string]bool{"cold": true, "warm": false} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				from := r
				if fresh {
					from = &Repository{dir: r.dir, now: r.now, db: r.db, blobs: r.blobs}
				}
				if found, err := from.Versions(ctx(), "sensor_v1"); err != nil || len(found) != releases {
					b.Fatal(len(found), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*releases), "µs/release")
		})
	}
}
