package threats_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// The vendor: three roots, two of which must sign, and a release key in each of
// two epochs.
var (
	rootA, rootB, rootC = tv.NewKey("root a"), tv.NewKey("root b"), tv.NewKey("root c")
	rootD, rootE        = tv.NewKey("root d"), tv.NewKey("root e")
	release1, release2  = tv.NewKey("release 1"), tv.NewKey("release 2")
	attackers           = tv.NewKey("stranger")
	ring                = tv.Ring(rootA, rootB, rootC, rootD, rootE, release1, release2, attackers)

	fleetMaster = trust.FleetMaster{1, 2, 3}
	now         = time.Unix(1_790_000_000, 0)
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func keyset(version uint32, releases ...trust.SignerKey) *trust.Keyset {
	return &trust.Keyset{
		Vendor: "acme", DeviceType: "sensor_v1", Version: version,
		Roots: []trust.SignerKey{rootA.Signer(0), rootB.Signer(0), rootC.Signer(0)}, RootThreshold: 2,
		Releases: releases, ReleaseThreshold: 1,
	}
}

func signKeyset(t testing.TB, ks *trust.Keyset, by ...*tv.Key) []byte {
	t.Helper()
	raw := must(trust.UnsignedKeyset(ks))(t)
	for _, k := range by {
		raw = must(trust.SignKeyset(raw, k))(t)
	}
	return raw
}

// A release is an image and its signed manifest.
type release struct {
	image    []byte
	manifest []byte
}

func (r release) hash() manifest.Digest { return sha256.Sum256(r.manifest) }

// makeRelease signs an image as a release. Whoever has the key can.
func makeRelease(t testing.TB, key *tv.Key, epoch, number uint32, v string, image string, change ...func(*manifest.Manifest)) release {
	t.Helper()
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(epoch, number), must(version.Parse(v))(t))
	if err := m.SetImage(sha256.Sum256([]byte(image)), int64(len(image))); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(m)
	}
	return release{[]byte(image), must(trust.SignManifest(must(trust.UnsignedManifest(m))(t), key))(t)}
}

// A device does what trust.md says that a device does, and remembers what runs.
type device struct {
	id      string
	keyset  trust.VerifiedKeyset
	keys    trust.DeviceKeys // zero at level 0
	state   rollback.State
	nonce   uint64
	clock   time.Time // zero: none
	running string    // the image that runs
}

// newDevice runs release 1.4, version 2.0.0, and holds keyset 1, which lists
// the release key of epoch 1.
func newDevice(t testing.TB, id string, keyed bool) *device {
	t.Helper()
	ks := keyset(1, release1.Signer(1))
	d := &device{id: id, keyset: must(ks.Anchor().Open(signKeyset(t, ks, rootA, rootB), ring))(t)}
	if keyed {
		d.keys = deviceKeys(t, fleetMaster, id, 1)
	}
	if err := d.install(makeRelease(t, release1, 1, 4, "2.0.0", "image 2.0.0")); err != nil {
		t.Fatal(err)
	}
	return d
}

func deviceKeys(t testing.TB, master trust.FleetMaster, id string, generation uint32) trust.DeviceKeys {
	t.Helper()
	return must(master.DeviceKeys(trust.DeviceID{Vendor: "acme", DeviceType: "sensor_v1", ID: id}, generation))(t)
}

// ask makes the device's next question.
func (d *device) ask() uint64 { d.nonce++; return d.nonce }

// answer is what whoever has the device's down key can say to a question.
func (d *device) answer(t testing.TB, keys trust.DeviceKeys, nonce uint64, r release) []byte {
	t.Helper()
	response := trust.CheckResponse{
		Device: d.id, Nonce: nonce, KeysetVersion: 1, RetrySeconds: 60, ManifestHash: r.hash(), ManifestSize: uint32(len(r.manifest)),
	}
	return must(response.Seal(keys.Down))(t)
}

// receive is a whole update: the answer, at level 1 and above, the manifest and
// the image. The image runs and is confirmed if nothing refuses.
func (d *device) receive(answer []byte, r release) error {
	if !d.keys.IsZero() {
		response, err := trust.OpenCheckResponse(answer, d.keys.Down, d.id, d.nonce)
		if err != nil {
			return err
		}
		if response.ManifestHash != r.hash() {
			return fmt.Errorf("manifest: %w", trust.ErrNotNamed)
		}
	}
	return d.install(r)
}

func (d *device) install(r release) error {
	verified, err := d.keyset.VerifyManifest(r.manifest, ring)
	if err != nil {
		return err
	}
	m := verified.Manifest()
	facts := rollback.Device{KeysetFloor: d.keyset.Keyset().SecurityFloor, Now: d.clock, SlotSize: 1 << 20}
	if err := d.state.Check(m, facts); err != nil {
		return err
	}
	if uint32(len(r.image)) != m.ImageSize || sha256.Sum256(r.image) != m.ImageDigest {
		return fmt.Errorf("image: %w", trust.ErrImageDigest)
	}
	d.state.RecordVersionUpdate(rollback.EntryOf(m, verified.Hash()), now)
	d.running = string(r.image)
	return nil
}

// accept takes a keyset by the rule of rotation.
func (d *device) accept(raw []byte) error {
	next, err := d.keyset.Accept(raw, ring)
	if err == nil {
		d.keyset = next
	}
	return err
}

// gains fails the test unless the attacker's image runs.
func gains(t testing.TB, d *device, err error, image string) {
	t.Helper()
	if err != nil || d.running != image {
		t.Errorf("the row says that the attacker gets %q to run; %q runs (%v)", image, d.running, err)
	}
}

// refused fails the test unless the device refused for the reason, and runs
// what it ran.
func refused(t testing.TB, d *device, err error, want trust.Reason) {
	t.Helper()
	if !errors.Is(err, want) || d.running != "image 2.0.0" {
		t.Errorf("want a refusal with %q; got %v, and %q runs", want, err, d.running)
	}
}
