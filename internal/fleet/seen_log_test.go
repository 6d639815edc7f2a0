package fleet_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

// Three servers on one database are asked by devices that get new keys now and
// then, write and merge their logs in any order, and are restarted or die. What
// one has written never goes back, in any of them, and after all have written
// and read all know the same. (But not if one died: what it had merged into a
// page before its time to write it came is known to those who start later.)
func TestNothingWrittenGoesBack(t *testing.T) {
	s := otatest.New(t)
	var clock atomic.Int64 // moves on, so that no rate limit is in the way
	clock.Store(time.Now().Unix())
	now := func() time.Time { return time.Unix(clock.Add(60), 0) }
	devices := 0
	if os.Getenv("OTA_LONG") == "" { // each restart opens the database
		if err := flag.Set("rapid.checks", "10"); err != nil {
			t.Fatal(err)
		}
	}
	must := func(rt *rapid.T, err error) {
		if err != nil {
			rt.Helper()
			rt.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		type known struct {
			generation uint32
			nonce      uint64
		}
		ids := make([]string, 3)
		var sent uint64
		died := false
		accepted := [3]map[string]known{} // by each server since it last wrote
		written := map[string]known{}
		for i := range ids {
			devices++
			ids[i] = fmt.Sprintf("dev-%05d", devices)
			s.Device(ids[i])
		}
		var servers [3]*fleet.Fleet
		for i := range servers {
			servers[i], accepted[i] = quiet(t, s, now), map[string]known{}
		}
		later := func(into map[string]known, id string, k known) {
			if old := into[id]; k.generation > old.generation || k.generation == old.generation && k.nonce > old.nonce {
				into[id] = k
			}
		}
		look := func(f *fleet.Fleet) {
			for id, want := range written {
				d, err := f.Device(ref(id))
				must(rt, err)
				if d.Generation == want.generation && d.CheckNonce < want.nonce {
					rt.Fatalf("nonce %d of %s, and %d was written", d.CheckNonce, id, want.nonce)
				}
			}
		}
		sync := func(at int) {
			must(rt, servers[at].SyncSeen(t.Context()))
			for id, k := range accepted[at] {
				later(written, id, k)
			}
			clear(accepted[at])
			look(servers[at])
		}
		at := rapid.IntRange(0, len(servers)-1)
		rt.Repeat(map[string]func(*rapid.T){
			"check": func(rt *rapid.T) {
				at, id := at.Draw(rt, "server"), rapid.SampledFrom(ids).Draw(rt, "device")
				sent++
				r := check(sent)
				r.Device = id
				_, err := servers[at].Check(t.Context(), r, "")
				if errors.Is(err, fleet.ErrUnauthenticated) {
					return // it got new keys, of which this server does not know yet
				}
				must(rt, err)
				d, err := servers[at].Device(ref(id))
				must(rt, err)
				later(accepted[at], id, known{d.Generation, d.CheckNonce})
			},
			"new keys": func(rt *rapid.T) { enrolAgain(t, s, rapid.SampledFrom(ids).Draw(rt, "device")) },
			"refresh":  func(rt *rapid.T) { must(rt, servers[at.Draw(rt, "server")].Refresh(t.Context())) },
			"sync":     func(rt *rapid.T) { sync(at.Draw(rt, "server")) },
			"merge": func(rt *rapid.T) {
				must(rt, servers[at.Draw(rt, "server")].MergeSeen(t.Context()))
				look(quiet(t, s, now))
			},
			"restart or die": func(rt *rapid.T) {
				at := at.Draw(rt, "server")
				if rapid.Bool().Draw(rt, "restart") {
					sync(at)
				} else {
					died = true
				}
				clear(accepted[at])
				servers[at] = quiet(t, s, now)
				look(servers[at])
			},
			"all write and read": func(rt *rapid.T) {
				for range 2 {
					for at := range servers {
						sync(at)
					}
				}
				for _, id := range ids {
					var told [3]fleet.Device
					for at := range servers {
						must(rt, servers[at].Refresh(t.Context()))
						d, err := servers[at].Device(ref(id))
						must(rt, err)
						told[at] = d
					}
					if died {
						continue
					}
					if told[0].CheckNonce != told[1].CheckNonce || told[1].CheckNonce != told[2].CheckNonce || !told[0].LastSeen.Equal(told[2].LastSeen) {
						rt.Fatalf("%s is told as %+v", id, told)
					}
				}
			},
		})
	})
}

// quiet returns a fleet that does nothing in the background.
func quiet(t *testing.T, s *otatest.System, now func() time.Time) *fleet.Fleet {
	t.Helper()
	f, err := fleet.OpenUnread(t.Context(), fleet.Config{
		Repository: s.Server.Repository(), Masters: auth.OpenMasters(filepath.Join(s.Server.Repository().Dir(), "secrets")), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// A server that was away while the log was merged reads the pages.
func TestAServerMissesNoRowThatIsMerged(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	away, other := quiet(t, s, nil), quiet(t, s, nil)
	for nonce := uint64(1); nonce < 4; nonce++ {
		mustCheck(t, other, check(nonce))
		if err := other.SyncSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := other.LogRows(t.Context()); err != nil || rows != 3 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if err := other.MergeSeen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows, err := other.LogRows(t.Context()); err != nil || rows != 0 {
		t.Errorf("%d rows after a merge, %v", rows, err)
	}
	mustCheck(t, away, check(2)) // written behind what it has not read
	if err := away.SyncSeen(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*fleet.Fleet{"away": away, "new": quiet(t, s, nil)} {
		if d, err := f.Device(ref("dev-0001")); err != nil || d.CheckNonce != 3 {
			t.Errorf("%s: nonce %d, %v", name, d.CheckNonce, err)
		}
	}
}

// The log does not grow for ever, and a merge leaves what others may not have
// read yet.
func TestALongLogIsMerged(t *testing.T) {
	s := otatest.New(t)
	f := quiet(t, s, nil)
	const count = 3000
	var fleetOf []fleet.Ref
	for i := range count {
		fleetOf = append(fleetOf, ref(fmt.Sprintf("dev-%05d", i)))
	}
	err := f.Populate(t.Context(), auth.Actor{Name: "test", Role: auth.Administrator}, otatest.DeviceType, count, func(i int) fleet.Seed {
		return fleet.Seed{
			NewDevice: fleet.NewDevice{Ref: fleetOf[i], Level: fleet.Keyed}, Installed: fleet.Running{Digest: factory}, KeysetVersion: 1,
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	most := int64(0)
	for round := range uint64(20) { // 30 KB each, of 256 KB
		for _, ref := range fleetOf {
			r := trust.CheckRequest{Device: ref.ID, DeviceType: ref.DeviceType, Nonce: 1<<40 + round, ImageDigest: factory, KeysetVersion: 1}
			mustCheck(t, f, r)
		}
		if err := f.SyncSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := f.LogRows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, rows)
	}
	rows, err := f.LogRows(t.Context())
	if err != nil || rows >= most || rows < 2 {
		t.Errorf("%d rows after at most %d, %v", rows, most, err)
	}
	if d, err := quiet(t, s, nil).Device(fleetOf[count-1]); err != nil || d.CheckNonce != 1<<40+19 {
		t.Errorf("nonce %d, %v", d.CheckNonce, err)
	}
}
