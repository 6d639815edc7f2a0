package threats_test

import (
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func TestLevel0StolenReleaseKeyWithTheNetworkPathIsCode(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	evil := makeRelease(t, release1, 1, 5, "2.0.1", "evil")
	gains(t, d, d.receive(nil, evil), "evil")
}

func TestLevel0StolenReleaseKeyStopsAtItsTypeItsEpochAndTheFloor(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	otherType := makeRelease(t, release1, 1, 5, "2.0.1", "evil", func(m *manifest.Manifest) { m.DeviceType = "pump" })
	refused(t, d, d.receive(nil, otherType), trust.ErrWrongType)
	nextEpoch := makeRelease(t, release1, 2, 1, "2.0.1", "evil")
	refused(t, d, d.receive(nil, nextEpoch), trust.ErrWrongEpoch)
	floor := keyset(2, release1.Signer(1))
	floor.SecurityFloor = 5
	if err := d.accept(signKeyset(t, floor, rootA, rootC)); err != nil {
		t.Fatal(err)
	}
	below := makeRelease(t, release1, 1, 5, "2.0.1", "evil", func(m *manifest.Manifest) { m.SecurityCounter = 4 })
	refused(t, d, d.receive(nil, below), trust.ErrBelowFloor)
}

func TestLevel0NetworkPathAloneIsNoCodeAndNoRollback(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	refused(t, d, d.receive(nil, makeRelease(t, attackers, 1, 5, "2.0.1", "evil")), trust.ErrNotEnoughSigners)
	refused(t, d, d.receive(nil, makeRelease(t, release1, 1, 3, "1.9.0", "image 1.9.0")), trust.ErrOldSequence)
	swapped := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1")
	swapped.image = []byte("evil")
	refused(t, d, d.receive(nil, swapped), trust.ErrImageDigest)
	truncated := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1")
	truncated.image = truncated.image[:4]
	refused(t, d, d.receive(nil, truncated), trust.ErrImageDigest)
}

func TestLevel0NetworkPathChoosesAmongGenuineNewerReleases(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	stale := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1, withdrawn since")
	gains(t, d, d.receive(nil, stale), "image 2.0.1, withdrawn since")
}

func TestLevel0WithAClockAnExpiredReleaseIsRefused(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	stale := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1", func(m *manifest.Manifest) { m.Expires = now.Add(-time.Hour) })
	d.clock = now
	refused(t, d, d.receive(nil, stale), trust.ErrExpired)
	d.clock = time.Time{}
	gains(t, d, d.receive(nil, stale), "image 2.0.1")
}
