package threats_test

import (
	"testing"

	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

func TestStolenRootBelowTheThresholdGainsNothing(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	mine := keyset(2, attackers.Signer(1))
	refused(t, d, d.accept(signKeyset(t, mine, rootA)), trust.ErrNotEnoughSigners)
	mine.Roots, mine.RootThreshold = []trust.SignerKey{rootA.Signer(0)}, 1
	refused(t, d, d.accept(signKeyset(t, mine, rootA)), trust.ErrNotEnoughSigners)
	evil := makeRelease(t, rootA, 1, 5, "2.0.1", "evil")
	refused(t, d, d.receive(nil, evil), trust.ErrNotEnoughSigners)
}

func TestStolenRootsAtTheThresholdAreEverything(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	mine := keyset(2, attackers.Signer(7))
	mine.Roots, mine.RootThreshold = []trust.SignerKey{attackerRoot().Signer(0)}, 1
	if err := d.accept(signKeyset(t, mine, rootA, rootB, attackerRoot())); err != nil {
		t.Fatal(err)
	}
	gains(t, d, d.receive(nil, makeRelease(t, attackers, 7, 1, "2.0.1", "evil")), "evil")
	// And the owner is locked out.
	if err := d.accept(signKeyset(t, keyset(3, release2.Signer(2)), rootA, rootB, rootC)); trust.ReasonOf(err) != trust.ErrNotEnoughSigners {
		t.Errorf("got %v", err)
	}
}

func attackerRoot() *tv.Key { return rootE }

func TestStolenRootIsReplacedByTheOthers(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	next := keyset(2, release1.Signer(1))
	next.Roots = []trust.SignerKey{rootB.Signer(0), rootC.Signer(0), rootD.Signer(0)}
	if err := d.accept(signKeyset(t, next, rootB, rootC)); err != nil {
		t.Fatal(err)
	}
	refused(t, d, d.accept(signKeyset(t, keyset(3, attackers.Signer(1)), rootA, rootB)), trust.ErrNotEnoughSigners)
}

func TestCriticalTypeNeedsBothReleaseKeys(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	critical := keyset(2, release1.Signer(1), release2.Signer(1))
	critical.ReleaseThreshold = 2
	if err := d.accept(signKeyset(t, critical, rootA, rootB)); err != nil {
		t.Fatal(err)
	}
	one := makeRelease(t, release1, 1, 5, "2.0.1", "evil")
	refused(t, d, d.receive(nil, one), trust.ErrNotEnoughSigners)
	both := one
	both.manifest = must(trust.SignManifest(one.manifest, release2))(t)
	gains(t, d, d.receive(nil, both), "evil")
}

func TestRevokedKeysImageKeepsRunning(t *testing.T) {
	d := newDevice(t, "dev-0001", false)
	if err := d.accept(signKeyset(t, keyset(2, release2.Signer(2)), rootA, rootB)); err != nil {
		t.Fatal(err)
	}
	if d.running != "image 2.0.0" || d.state.Installed.Sequence.Number() != 4 {
		t.Error("a new keyset stops what runs")
	}
	again := makeRelease(t, release1, 1, 5, "2.0.1", "image 2.0.1")
	refused(t, d, d.receive(nil, again), trust.ErrNotEnoughSigners)
}
