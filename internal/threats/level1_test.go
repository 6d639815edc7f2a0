package threats_test

import (
	"testing"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func TestLevel1StolenReleaseKeyAloneGainsNothing(t *testing.T) {
	d := newDevice(t, "dev-0001", true)
	evil := makeRelease(t, release1, 1, 5, "2.0.1", "evil")
	genuine := makeRelease(t, release1, 1, 6, "2.1.0", "image 2.1.0")
	// Without the device's key: no answer, JSON, one of his own making, a
	// recorded one, and the genuine answer with his manifest behind it.
	nonce := d.ask()
	refused(t, d, d.receive(nil, evil), trust.ErrUnauthenticated)
	refused(t, d, d.receive([]byte(`{"update":{}}`), evil), trust.ErrUnauthenticated)
	guessed := trust.DeviceKeys{Down: trust.DeviceKey{1}}
	refused(t, d, d.receive(d.answer(t, guessed, nonce, evil), evil), trust.ErrBadMAC)
	recorded := d.answer(t, d.keys, nonce, genuine)
	refused(t, d, d.receive(recorded, evil), trust.ErrNotNamed)
	d.ask()
	refused(t, d, d.receive(recorded, genuine), trust.ErrWrongNonce)
}

func TestLevel1StolenServerChoosesAmongGenuineNewerReleases(t *testing.T) {
	d := newDevice(t, "dev-0001", true)
	// The server has the fleet master and so each device's keys.
	stolen := deviceKeys(t, fleetMaster, d.id, 1)
	withdrawn := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1, withdrawn since")
	gains(t, d, d.receive(d.answer(t, stolen, d.ask(), withdrawn), withdrawn), "image 2.0.1, withdrawn since")
}

func TestLevel1StolenServerCannotForgeAndCannotRollBack(t *testing.T) {
	d := newDevice(t, "dev-0001", true)
	stolen := deviceKeys(t, fleetMaster, d.id, 1)
	forged := makeRelease(t, attackers, 1, 5, "2.0.1", "evil")
	refused(t, d, d.receive(d.answer(t, stolen, d.ask(), forged), forged), trust.ErrNotEnoughSigners)
	old := makeRelease(t, release1, 1, 3, "1.9.0", "image 1.9.0")
	refused(t, d, d.receive(d.answer(t, stolen, d.ask(), old), old), trust.ErrOldSequence)
	swapped := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1")
	swapped.image = []byte("evil")
	refused(t, d, d.receive(d.answer(t, stolen, d.ask(), swapped), swapped), trust.ErrImageDigest)
	err := d.accept(signKeyset(t, keyset(2, attackers.Signer(1)), attackers))
	refused(t, d, err, trust.ErrNotEnoughSigners)
}

func TestLevel1StolenServerFreezesAndWithholds(t *testing.T) {
	d := newDevice(t, "dev-0001", true)
	nothing := trust.CheckResponse{Device: d.id, Nonce: d.ask(), KeysetVersion: 1, RetrySeconds: 1 << 31}
	raw := must(nothing.Seal(deviceKeys(t, fleetMaster, d.id, 1).Down))(t)
	got := must(trust.OpenCheckResponse(raw, d.keys.Down, d.id, d.nonce))(t)
	if !got.ManifestHash.IsZero() || got.KeysetVersion != 1 {
		t.Error("the row says that a stolen server may say that there is nothing new")
	}
	// What it says is not kept: the next genuine answer is believed.
	newer := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1")
	gains(t, d, d.receive(d.answer(t, d.keys, d.ask(), newer), newer), "image 2.0.1")
}

func TestLevel1StolenServerAndReleaseKeyAreCodeUntilANewKeysetArrives(t *testing.T) {
	stolen := deviceKeys(t, fleetMaster, "dev-0001", 1)
	revoked := signKeyset(t, keyset(2, release2.Signer(2)), rootA, rootB)
	evil := makeRelease(t, release1, 1, 5, "2.0.1", "evil")

	withheld := newDevice(t, "dev-0001", true)
	gains(t, withheld, withheld.receive(withheld.answer(t, stolen, withheld.ask(), evil), evil), "evil")

	reached := newDevice(t, "dev-0001", true)
	if err := reached.accept(revoked); err != nil {
		t.Fatal(err)
	}
	refused(t, reached, reached.receive(reached.answer(t, stolen, reached.ask(), evil), evil), trust.ErrNotEnoughSigners)

	// Even a device that runs the evil release, at the largest sequence and
	// counter, is repaired by the next epoch.
	forward := makeRelease(t, release1, 1, 1<<32-1, "9.9.9", "worse", func(m *manifest.Manifest) { m.SecurityCounter = 1<<32 - 1 })
	gains(t, withheld, withheld.receive(withheld.answer(t, stolen, withheld.ask(), forward), forward), "worse")
	if err := withheld.accept(revoked); err != nil {
		t.Fatal(err)
	}
	repair := makeRelease(t, release2, 2, 1, "2.0.2", "image 2.0.2", func(m *manifest.Manifest) {
		m.Flags, m.DowngradeFrom = manifest.FlagDowngrade, []manifest.Sequence{manifest.NewSequence(1, 1<<32-1)}
	})
	gains(t, withheld, withheld.receive(withheld.answer(t, withheld.keys, withheld.ask(), repair), repair), "image 2.0.2")
}

func TestStolenFleetMasterSpeaksForEveryDeviceOfTheTypeUntilReprovisioned(t *testing.T) {
	genuine := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1")
	for _, id := range []string{"dev-0001", "dev-0002"} {
		d := newDevice(t, id, true)
		gains(t, d, d.receive(d.answer(t, deviceKeys(t, fleetMaster, id, 1), d.ask(), genuine), genuine), "image 2.0.1")
	}
	// A new generation is no cure: it comes from the same master. A new master is.
	d := newDevice(t, "dev-0001", true)
	d.keys = deviceKeys(t, fleetMaster, d.id, 2)
	gains(t, d, d.receive(d.answer(t, deviceKeys(t, fleetMaster, d.id, 2), d.ask(), genuine), genuine), "image 2.0.1")
	d = newDevice(t, "dev-0001", true)
	d.keys = deviceKeys(t, trust.FleetMaster{9}, d.id, 2)
	refused(t, d, d.receive(d.answer(t, deviceKeys(t, fleetMaster, d.id, 2), d.ask(), genuine), genuine), trust.ErrBadMAC)
}

func TestStolenDeviceKeySpeaksForThatDeviceAlone(t *testing.T) {
	stolen := deviceKeys(t, fleetMaster, "dev-0001", 1)
	genuine := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1")
	other := newDevice(t, "dev-0002", true)
	refused(t, other, other.receive(other.answer(t, stolen, other.ask(), genuine), genuine), trust.ErrBadMAC)

	keyOf := func(_, id string) (trust.DeviceKey, error) { return deviceKeys(t, fleetMaster, id, 1).Up, nil }
	lie := trust.Report{Device: "dev-0001", DeviceType: "sensor_v1", Nonce: 1, Event: trust.EventConfirmed}
	must(trust.OpenReport(must(lie.Seal(stolen.Up))(t), keyOf))(t)
	lie.Device = "dev-0002"
	if _, err := trust.OpenReport(must(lie.Seal(stolen.Up))(t), keyOf); trust.ReasonOf(err) != trust.ErrBadMAC {
		t.Errorf("a report for another device: %v", err)
	}
}

func TestStolenDeviceKeyIsUselessAfterReenrolment(t *testing.T) {
	d := newDevice(t, "dev-0001", true)
	stolen := d.keys
	d.keys = deviceKeys(t, fleetMaster, d.id, 2)
	genuine := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1")
	refused(t, d, d.receive(d.answer(t, stolen, d.ask(), genuine), genuine), trust.ErrBadMAC)
}
