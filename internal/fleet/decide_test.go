package fleet

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

const testType = "sensor_v1"

// release returns release 1.N of a test, changed by f, which both keysets of
// the test verify.
func release(t *testing.T, n uint32, f func(*Release)) *Release {
	t.Helper()
	v, err := version.Parse(fmt.Sprintf("1.%d.0", n))
	if err != nil {
		t.Fatal(err)
	}
	m := manifest.New("acme", testType, manifest.NewSequence(1, n), v)
	if err := m.SetImage(sha256.Sum256([]byte(v.String())), 100); err != nil {
		t.Fatal(err)
	}
	r := &Release{Manifest: m, Signed: []byte(v.String()), Hash: sha256.Sum256([]byte("manifest " + v.String())), verified: map[uint32]bool{1: true, 2: true}}
	if f != nil {
		f(r)
	}
	return r
}

func snapshotOf(releases ...*Release) *Snapshot {
	s := &Snapshot{types: map[string]*typeView{}, byHash: map[manifest.Digest]*Release{}, byImage: map[manifest.Digest][]string{}, documents: map[manifest.Digest]bool{}}
	s.add(testType, &typeView{newestKeyset: 2, floors: map[uint32]uint32{1: 0, 2: 0}, releases: releases})
	return s
}

func running(r *Release) Running { return Running{r.Manifest.Sequence, r.Manifest.ImageDigest} }

func TestADeviceGetsTheNewestReleaseItMayTake(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	plain := func(t *testing.T) []*Release {
		return []*Release{release(t, 3, nil), release(t, 2, nil), release(t, 1, nil)}
	}
	for _, c := range []struct {
		name     string
		releases func(t *testing.T) []*Release
		question func(q *Question, s *Snapshot)
		want     uint32 // release number; 0: nothing
		why      error
	}{
		{"the newest", plain, nil, 3, nil},
		{"from the factory", plain, func(q *Question, _ *Snapshot) { q.Running = Running{} }, 3, nil},
		{"nothing above the newest", plain, func(q *Question, s *Snapshot) { q.Running = running(s.types[testType].releases[0]) }, 0, nil},
		{"nothing for a device ahead of all", plain, func(q *Question, _ *Snapshot) { q.Running.Sequence = manifest.NewSequence(2, 1) }, 0, nil},
		{"not a withdrawn one", func(t *testing.T) []*Release {
			return []*Release{release(t, 3, func(r *Release) { r.Withdrawn = true }), release(t, 2, nil), release(t, 1, nil)}
		}, nil, 2, nil},
		{"not one whose key was revoked", func(t *testing.T) []*Release {
			return []*Release{release(t, 3, func(r *Release) { r.verified[2] = false }), release(t, 2, nil), release(t, 1, nil)}
		}, nil, 2, nil},
		{"not one of a keyset yet to come", func(t *testing.T) []*Release {
			return []*Release{release(t, 3, func(r *Release) { r.verified[1] = false }), release(t, 2, nil), release(t, 1, nil)}
		}, func(q *Question, _ *Snapshot) { q.KeysetVersion = 1 }, 0, trust.ErrKeysetTooOld},
		{"with a keyset that is ahead of ours", plain, func(q *Question, _ *Snapshot) { q.KeysetVersion = 9 }, 3, nil},
		{"not without a keyset", plain, func(q *Question, _ *Snapshot) { q.KeysetVersion = 0 }, 0, trust.ErrKeysetTooOld},
		{"not for other hardware", func(t *testing.T) []*Release {
			return []*Release{release(t, 3, func(r *Release) { r.Manifest.HardwareRevisions = []string{"C"} }), release(t, 2, nil), release(t, 1, nil)}
		}, func(q *Question, _ *Snapshot) { q.HardwareRevision = "B" }, 2, trust.ErrWrongHardware},
		{"not for another component", func(t *testing.T) []*Release {
			return []*Release{release(t, 3, func(r *Release) { r.Manifest.Component = "modem" }), release(t, 2, nil), release(t, 1, nil)}
		}, nil, 2, trust.ErrWrongComponent},
		{"not an expired one", func(t *testing.T) []*Release {
			return []*Release{release(t, 3, func(r *Release) { r.Manifest.Expires = now.Add(-time.Hour) }), release(t, 2, nil), release(t, 1, nil)}
		}, nil, 2, trust.ErrExpired},
		{"not below the floor", plain, func(q *Question, _ *Snapshot) { q.Device.Floor = rollback.Floor{Epoch: 1, Counter: 1} }, 0, trust.ErrBelowFloor},
		{"a newer epoch starts again", func(t *testing.T) []*Release {
			return []*Release{release(t, 3, func(r *Release) { r.Manifest.Sequence = manifest.NewSequence(2, 1) }), release(t, 1, nil)}
		}, func(q *Question, _ *Snapshot) { q.Device.Floor = rollback.Floor{Epoch: 1, Counter: 1<<32 - 1} }, 3, nil},
		{"not what it rejected", plain, func(q *Question, s *Snapshot) {
			q.Device.Rejected = []manifest.Digest{s.types[testType].releases[0].Manifest.ImageDigest}
		}, 2, trust.ErrRejectedBefore},
		{"what it rejected, if told to", plain, func(q *Question, s *Snapshot) {
			q.Device.Rejected = []manifest.Digest{s.types[testType].releases[0].Manifest.ImageDigest}
			q.Device.RetryRejected = true
		}, 3, nil},
		{"a downgrade that names what runs", func(t *testing.T) []*Release {
			return []*Release{downgrade(t, 9, 2), release(t, 2, nil), release(t, 1, nil)}
		}, func(q *Question, s *Snapshot) { q.Running = running(s.types[testType].releases[1]) }, 9, nil},
		{"not a downgrade that names another", func(t *testing.T) []*Release {
			return []*Release{downgrade(t, 9, 2), release(t, 2, nil), release(t, 1, nil)}
		}, nil, 2, trust.ErrNotApplicable},
		{"nothing on trial", plain, func(q *Question, _ *Snapshot) { q.Boot = trust.BootTrial }, 0, nil},
		{"on trial without a way back", plain, func(q *Question, _ *Snapshot) {
			q.Boot, q.Capabilities = trust.BootTrial, trust.CapNoRevert
		}, 3, nil},
		{"nothing for an unknown type", plain, func(q *Question, _ *Snapshot) { q.Device.DeviceType = "other" }, 0, ErrNoKeyset},
	} {
		t.Run(c.name, func(t *testing.T) {
			releases := c.releases(t)
			s := snapshotOf(releases...)
			q := Question{Device: Device{Ref: Ref{testType, "dev-0001"}}, KeysetVersion: 2, Now: now, Running: running(releases[len(releases)-1])}
			if c.question != nil {
				c.question(&q, s)
			}
			got := s.Decide(q, nil)
			switch {
			case c.want == 0 && got.Release != nil:
				t.Errorf("offered %s", got.Release.Manifest.Version)
			case c.want != 0 && got.Release == nil:
				t.Errorf("offered nothing: %v", got.Why)
			case c.want != 0 && got.Release.Manifest.Version.String() != fmt.Sprintf("1.%d.0", c.want):
				t.Errorf("offered %s, want release %d", got.Release.Manifest.Version, c.want)
			}
			if c.why != nil && !errors.Is(got.Why, c.why) || c.why == nil && got.Why != nil {
				t.Errorf("why: %v, want %v", got.Why, c.why)
			}
			if c.why != ErrNoKeyset && got.KeysetVersion != 2 {
				t.Errorf("keyset version %d, want 2, which leads the device on", got.KeysetVersion)
			}
		})
	}
}

func downgrade(t *testing.T, n uint32, from uint32) *Release {
	return release(t, n, func(r *Release) {
		r.Manifest.Flags, r.Manifest.DowngradeFrom = manifest.FlagDowngrade, []manifest.Sequence{manifest.NewSequence(1, from)}
	})
}

// says is what rollouts choose, always.
type says struct {
	Rollouts
	choice Choice
	ok     bool
}

func (s says) Rule(string) bool       { return s.ok }
func (s says) Choose(Question) Choice { return s.choice }

func TestRolloutsChooseAmongWhatADeviceMayTake(t *testing.T) {
	newest, middle, oldest := release(t, 3, nil), release(t, 2, nil), release(t, 1, nil)
	revoked := release(t, 4, func(r *Release) { r.verified[2] = false })
	s := snapshotOf(revoked, newest, middle, oldest)
	waits := errors.New("not yet")
	for _, c := range []struct {
		name   string
		says   says
		change func(*Question)
		want   *Release
		why    error
	}{
		{"an older one than the newest", says{choice: Choice{Manifest: middle.Hash, Rollout: "r"}, ok: true}, nil, middle, nil},
		{"none", says{choice: Choice{Why: waits}, ok: true}, nil, nil, waits},
		{"one that is not published", says{choice: Choice{Manifest: manifest.Digest{1}}, ok: true}, nil, nil, nil},
		{"not one that runs", says{choice: Choice{Manifest: oldest.Hash}, ok: true}, nil, nil, nil},
		{"not one whose key was revoked", says{choice: Choice{Manifest: revoked.Hash}, ok: true}, nil, nil, trust.ErrNotEnoughSigners},
		{"not one of a keyset yet to come", says{choice: Choice{Manifest: middle.Hash}, ok: true}, func(q *Question) { q.KeysetVersion = 0 }, nil, trust.ErrKeysetTooOld},
		{"not for a held device", says{choice: Choice{Manifest: middle.Hash}, ok: true}, func(q *Question) { q.Device.Hold = true }, nil, ErrHeld},
		{"not for a pinned device", says{choice: Choice{Manifest: middle.Hash}, ok: true}, func(q *Question) { q.Device.Pin = "1.3.0" }, newest, nil},
		{"for a type that does not wait: the newest", says{}, nil, newest, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := Question{Device: Device{Ref: Ref{testType, "dev-0001"}}, KeysetVersion: 2, Now: time.Unix(1_800_000_000, 0), Running: running(oldest)}
			if c.change != nil {
				c.change(&q)
			}
			if got := s.Decide(q, c.says); got.Release != c.want || !errors.Is(got.Why, c.why) {
				t.Errorf("got %+v, why %v", got.Release, got.Why)
			}
		})
	}
}

func TestOnlyTheBytesOfAReleaseCountAsItsConfirmation(t *testing.T) {
	r := release(t, 2, func(r *Release) { r.Manifest.SecurityCounter = 7 })
	s := snapshotOf(r, release(t, 1, nil))
	for _, c := range []struct {
		name string
		run  Running
		want bool
	}{
		{"sequence and image", running(r), true},
		{"another image", Running{r.Manifest.Sequence, sha256.Sum256([]byte("forged"))}, false},
		{"another sequence", Running{manifest.NewSequence(1, 1), r.Manifest.ImageDigest}, false},
		{"an unknown sequence", Running{manifest.NewSequence(1, 8), r.Manifest.ImageDigest}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &Device{Ref: Ref{testType, "dev-0001"}, Offer: Offer{Manifest: r.Hash, Image: r.Manifest.ImageDigest}}
			got := d.take(trust.Report{Nonce: 1, Event: trust.EventConfirmed, Sequence: c.run.Sequence, ImageDigest: c.run.Digest}, s)
			if got != c.want {
				t.Errorf("counts: %t", got)
			}
			if confirmed := d.Confirmed == c.run && d.Floor == (rollback.Floor{Epoch: 1, Counter: 7}) && d.Offer.IsZero(); confirmed != c.want {
				t.Errorf("device %+v", d)
			}
		})
	}
}

func TestOnlyALastingRefusalIsRemembered(t *testing.T) {
	r := release(t, 2, nil)
	s := snapshotOf(r)
	for _, why := range []trust.Reason{trust.ErrImageSize, trust.ErrBelowFloor, trust.ErrRejectedBefore} {
		if d := refusedWith(r, s, why); len(d.Rejected) != 1 {
			t.Errorf("%s is not remembered", why)
		}
	}
	// An attacker on the way to a device can cause each of these at will.
	for _, why := range []trust.Reason{trust.ErrImageDigest, trust.ErrBadSignature, trust.ErrBadMAC, trust.ErrNotNamed, trust.ErrMalformed, trust.ErrKeysetTooOld} {
		if d := refusedWith(r, s, why); len(d.Rejected) != 0 {
			t.Errorf("%s is remembered for ever", why)
		}
	}
}

func refusedWith(r *Release, s *Snapshot, why trust.Reason) *Device {
	d := &Device{Ref: Ref{testType, "dev-0001"}, Offer: Offer{Manifest: r.Hash, Image: r.Manifest.ImageDigest}}
	d.take(trust.Report{Nonce: 1, Event: trust.EventRefused, Reason: why, Target: r.Hash}, s)
	return d
}

func TestALateReportDoesNotTurnTheStateBack(t *testing.T) {
	r := release(t, 2, nil)
	d := &Device{Ref: Ref{testType, "dev-0001"}, CheckNonce: 9, Installed: running(r)}
	d.take(trust.Report{Nonce: 8, Event: trust.EventTrial, Sequence: 1}, snapshotOf(r))
	if d.Installed != running(r) || d.Boot != trust.BootConfirmed || d.ReportNonce != 8 {
		t.Errorf("device %+v", d)
	}
}
