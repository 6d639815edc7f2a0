package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/slot"
	"github.com/secure-ota/secure-ota/internal/agent/testserver"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// The images of the sweeps are of a few blocks: more would be more of the same.
var (
	cutV1 = testImage('1', 900)
	cutV2 = testImage('2', 1300)
)

// A course is a whole life of an update, run with the power cut at each of its
// file operations.
type course struct {
	slots   [2]slot.Place
	healthy bool // the new image works
	back    bool // then the operator goes back
	server  *testserver.Server
}

// build makes a device that runs 1.0.0, whose server offers 2.0.0. It does so
// once, and then copies: a sweep builds a thousand times.
func (c *course) build(t testing.TB) func(*crashfs.FS) {
	fs := crashfs.New()
	d := device{fs: fs, server: testserver.New(author), slots: c.slots}
	if c.slots[0].Device {
		write(t, fs, "/disk", make([]byte, 8192))
	}
	if err := client.Provision(d.config(), d.server.AddDevice(id, 1)); err != nil {
		t.Fatal(err)
	}
	d.server.Publish(seq(1), "1.0.0", cutV1, floor(3))
	d.install(t)
	d.server.Publish(seq(2), "2.0.0", cutV2, floor(3), window(1))
	files := map[string][]byte{}
	for _, dir := range []string{"/", "/ota"} {
		entries, err := fs.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := path.Join(dir, e.Name()); !e.IsDir() {
				files[name], _ = fs.ReadFile(name)
			}
		}
	}
	return func(fs *crashfs.FS) {
		c.server = d.server.Clone()
		if err := fs.Mkdir("/ota", 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			write(t, fs, name, files[name])
		}
	}
}

// write makes a file where durability does not matter yet.
func write(t testing.TB, fs fsatomic.FS, name string, data []byte) {
	t.Helper()
	f, err := fs.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.Write(data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func floor(n uint32) func(*manifest.Manifest) {
	return func(m *manifest.Manifest) { m.SecurityCounter = n }
}

// run is the course without a cut: update, reboot, trial, confirm or reject,
// reboot, and perhaps back again.
func (c *course) run(fs fsatomic.FS) error {
	d := device{fs: fs, server: c.server, slots: c.slots}
	cl, _, err := d.boot()
	if err != nil {
		return err
	}
	if _, err := cl.Update(context.Background()); err != nil {
		return err
	}
	if err := c.decide(d); err != nil {
		return err
	}
	if !c.back {
		return nil
	}
	if cl, _, err = d.boot(); err != nil {
		return err
	}
	if err := cl.RollbackFirmware(context.Background()); err != nil {
		return err
	}
	return c.decide(d)
}

// decide boots twice: the trial, and what came of it.
func (c *course) decide(d device) error {
	cl, image, err := d.boot()
	if err != nil {
		return err
	}
	if image.Trial {
		if err := c.judge(cl); err != nil {
			return err
		}
	}
	if cl, _, err = d.boot(); err != nil {
		return err
	}
	return cl.DeliverReports(context.Background())
}

func (c *course) judge(cl *client.Client) error {
	if c.healthy {
		return cl.ConfirmFirmware(context.Background())
	}
	return cl.RejectFirmware(context.Background(), reason.HealthCheck, "")
}

// recover is what the device does after power returns, until nothing is left
// to do. At each boot it must run the old image or the new one, whole.
func (c *course) recover(t testing.TB, d device) {
	t.Helper()
	for range 8 {
		cl, image, err := d.boot()
		if err != nil {
			t.Errorf("does not boot: %v", err)
			return
		}
		c.checkImage(t, d, cl, image)
		if image.Trial {
			if err := c.judge(cl); err != nil {
				t.Errorf("trial: %v", err)
			}
			continue
		}
		out, err := cl.Update(context.Background())
		if c.done(cl, err) {
			c.checkEnd(t, d, cl)
			return
		}
		if err != nil && !out.Switched {
			t.Errorf("a retry does not complete: %v", err)
			return
		}
	}
	t.Error("the device does not come to rest")
}

// done says whether the course is at its end: 2.0.0 is confirmed, or remembered
// as rejected.
func (c *course) done(cl *client.Client, err error) bool {
	s := cl.State()
	if !c.healthy || c.back && errors.Is(err, trust.ErrRejectedBefore) {
		return errors.Is(err, trust.ErrRejectedBefore)
	}
	return err == nil && s.Update.Phase == client.Idle && s.Rollback.Installed.Sequence == seq(2)
}

func (c *course) checkImage(t testing.TB, d device, cl *client.Client, image client.Image) {
	t.Helper()
	got, err := d.content(image)
	if err != nil || !bytes.Equal(got, cutV1) && !bytes.Equal(got, cutV2) {
		t.Errorf("boots %d bytes (%.8q), %v: neither the old image nor the new", len(got), got, err)
	}
	if image.Entry.SecurityCounter < cl.State().Rollback.Floor.Counter || cl.State().Rollback.Floor.Counter < 3 {
		t.Errorf("boots an image with counter %d, the floor is %d", image.Entry.SecurityCounter, cl.State().Rollback.Floor.Counter)
	}
	if !c.healthy && !image.Trial && !bytes.Equal(got, cutV1) {
		t.Error("an image that failed its trial runs on")
	}
}

func (c *course) checkEnd(t testing.TB, d device, cl *client.Client) {
	t.Helper()
	if err := cl.DeliverReports(context.Background()); err != nil {
		t.Errorf("deliver reports: %v", err)
	}
	want := trust.EventConfirmed
	if !c.healthy {
		want = trust.EventReverted
	}
	told := false
	for _, r := range d.server.Reports(id) {
		told = told || r.Event == want && (r.Sequence == seq(2)) == c.healthy
	}
	if !told {
		t.Errorf("%s was never reported: %v", want, d.events())
	}
	for _, p := range d.server.Problems() {
		t.Error(p)
	}
}

// Of the cuts of a sweep every stride-th is made, and of their outcomes every
// sampled-th is followed by a recovery. With OTA_LONG=1 every one is.
const (
	stride  = 7
	sampled = 5
)

// A sampler counts points. Which of them it takes has nothing to do with how
// many outcomes one cut has.
type sampler struct{ seen, taken int }

func (s *sampler) skip() bool {
	s.seen++
	if os.Getenv("OTA_LONG") == "" && s.seen%sampled != 0 {
		return true
	}
	s.taken++
	return false
}

// check follows a power cut: what is found must recover, with the server as it
// was at the cut. Every third recovery is cut again, at an operation that
// differs from point to point.
func (c *course) check(points *sampler) func(testing.TB, *crashfs.FS, int, bool) {
	return func(t testing.TB, fs *crashfs.FS, _ int, _ bool) {
		if points.skip() {
			return
		}
		server := c.server.Clone()
		if points.taken%3 == 0 {
			n := 1 + points.taken%97
			fs.CrashAt(n, crashfs.Cut(n%3), uint64(n))
			if cl, _, err := (device{fs, server, c.slots}).boot(); err == nil {
				_, _ = cl.Update(context.Background())
			}
			fs = fs.Reboot(crashfs.Modes()[n%len(crashfs.Modes())], uint64(n))
		}
		c.recover(t, device{fs, server, c.slots})
	}
}

var (
	fileSlots   = [2]slot.Place{}
	deviceSlots = [2]slot.Place{{Path: "/disk", Device: true, Size: 4096}, {Path: "/disk", Device: true, Offset: 4096}}
)

func TestPowerCutAtEveryFileOperation(t *testing.T) {
	points := &sampler{}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	courses := map[string]*course{
		"update, trial, revert, file slots":       {},
		"update, trial, confirmation, partitions": {healthy: true, slots: deviceSlots},
	}
	if os.Getenv("OTA_LONG") != "" {
		courses["update, trial, revert, partitions"] = &course{slots: deviceSlots}
		courses["update, trial, confirmation, rollback, file slots"] = &course{healthy: true, back: true}
	}
	for name, c := range courses {
		t.Run(name, func(t *testing.T) { crashfs.SweepEvery(t, stride, c.build(t), c.run, c.check(points)) })
	}
	t.Logf("%d of %d power cuts followed by a recovery, a third of them cut again", points.taken, points.seen)
}

// A failed operation is reported or repaired, and what follows it is as safe as
// what follows a power cut.
func TestErrorAtEveryFileOperation(t *testing.T) {
	faults := []error{syscall.EIO, syscall.ENOSPC, io.ErrShortWrite}
	if os.Getenv("OTA_LONG") == "" {
		faults = faults[:1]
	}
	courses := map[string]*course{"confirmation, file slots": {healthy: true}}
	if os.Getenv("OTA_LONG") != "" {
		courses["revert, partitions"] = &course{slots: deviceSlots}
	}
	for name, c := range courses {
		t.Run(name, func(t *testing.T) {
			point := 0
			crashfs.SweepFaults(t, faults, c.build(t), c.run, func(t testing.TB, fs *crashfs.FS, injected, result error) {
				if result != nil && !errors.Is(result, injected) && !known(result) {
					t.Errorf("the cause is lost")
				}
				switch point++; point % 3 {
				case 0: // the machine goes on
					c.recover(t, device{fs, c.server, c.slots})
				case 1:
					c.recover(t, device{fs.Reboot(crashfs.Lost, 0), c.server, c.slots})
				case 2:
					c.recover(t, device{fs.Reboot(crashfs.Kept, 0), c.server, c.slots})
				}
			})
		})
	}
}

// known reports whether an error names the consequence of a fault instead of
// the fault: a file that could not be read counts as damaged.
func known(err error) bool {
	return errors.Is(err, client.ErrStateLost) || errors.Is(err, client.ErrNothingToBoot)
}

func TestPowerCutWhileProvisioning(t *testing.T) {
	for _, generation := range []uint32{1, 2} {
		t.Run(fmt.Sprintf("generation %d", generation), func(t *testing.T) {
			var server *testserver.Server
			build := func(fs *crashfs.FS) {
				d := device{fs: fs, server: testserver.New(author)}
				for g := uint32(1); g < generation; g++ {
					if err := client.Provision(d.config(), d.server.AddDevice(id, g)); err != nil {
						t.Fatal(err)
					}
				}
				server = d.server
			}
			run := func(fs fsatomic.FS) error {
				d := device{fs: fs, server: server}
				return client.Provision(d.config(), d.server.AddDevice(id, generation))
			}
			points := &sampler{}
			crashfs.Sweep(t, build, run, func(t testing.TB, fs *crashfs.FS, _ int, acknowledged bool) {
				if points.skip() {
					return
				}
				d := device{fs: fs, server: server.Clone()}
				if !acknowledged {
					err := client.Provision(d.config(), d.server.AddDevice(id, generation))
					if err != nil && !errors.Is(err, client.ErrProvisioned) {
						t.Errorf("provision again: %v", err)
					}
				}
				cl, _, err := d.boot()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := cl.Check(t.Context()); err != nil {
					t.Errorf("check: %v", err)
				}
			})
		})
	}
}
