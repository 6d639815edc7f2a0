package fleet_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

// An honest device checks, reports and updates; somebody on the way records its
// messages and sends them again at any time, and the server restarts at any
// time. What is known of the device is always what its own last message said,
// each report is on record once, and no recording leaves a trace.
func TestARecordingNeverChangesAnything(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	states := []fleet.Running{{Sequence: 0, Digest: factory}, {Sequence: release.Sequence, Digest: release.ImageDigest}}
	var clock atomic.Int64 // moves on, so that no rate limit is in the way
	clock.Store(time.Now().Unix())
	now := func() time.Time { return time.Unix(clock.Add(60), 0) }
	devices := 0
	if os.Getenv("OTA_LONG") == "" { // each restart opens the database
		checks := "15"
		if place.Shared() {
			checks = "4"
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		devices++
		id := fmt.Sprintf("dev-%d", devices)
		s.Device(id)
		f, repo := openBoth(t, s, now)
		end := func() {
			if err := errors.Join(f.Close(t.Context()), repo.Close()); err != nil {
				rt.Fatal(err)
			}
		}
		var recorded []func() // deliver a message once more
		var nonce uint64
		runs, told, reports := states[0], fleet.Running{}, 0
		newest := func() int64 { return records(t, s, audit.Filter{Limit: 1})[0].Seq }
		send := func(message func() error) {
			deliver := func() {
				if err := message(); err != nil {
					rt.Fatal(err)
				}
			}
			deliver()
			told = runs
			recorded = append(recorded, deliver)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"check": func(*rapid.T) {
				nonce++
				r := trust.CheckRequest{
					Device: id, DeviceType: otatest.DeviceType, Nonce: nonce, Sequence: runs.Sequence, ImageDigest: runs.Digest, KeysetVersion: 1,
				}
				send(func() error { _, err := f.Check(t.Context(), r, ""); return err })
			},
			"report": func(rt *rapid.T) {
				nonce++
				reports++
				r := trust.Report{
					Device: id, DeviceType: otatest.DeviceType, Nonce: nonce, Event: trust.EventFailed, Sequence: runs.Sequence, ImageDigest: runs.Digest,
				}
				send(func() error { return f.Report(t.Context(), r, "") })
			},
			"update": func(rt *rapid.T) { runs = rapid.SampledFrom(states).Draw(rt, "runs") },
			"recording": func(rt *rapid.T) {
				if len(recorded) == 0 {
					rt.Skip("nothing is recorded yet")
				}
				before := newest()
				recorded[rapid.IntRange(0, len(recorded)-1).Draw(rt, "message")]()
				if after := newest(); after != before {
					rt.Fatalf("a recording left %d audit records", after-before)
				}
			},
			"restart": func(*rapid.T) {
				end()
				f, repo = openBoth(t, s, now)
			},
			"": func(*rapid.T) {
				d, err := f.Device(ref(id))
				if err != nil || d.Installed != told {
					rt.Fatalf("the server believes %+v, the device said %+v, %v", d.Installed, told, err)
				}
				got := records(t, s, audit.Filter{Object: "device:" + ref(id).String(), Action: "device.report."})
				if len(got) != reports {
					rt.Fatalf("%d reports are on record, %d were made", len(got), reports)
				}
			},
		})
		end()
	})
}
