package rollback_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/version"
)

// TestNoHistoryOfReleasesLeadsBack offers a device arbitrary releases for its
// whole life, and holds what it took against a model that knows three rules.
func TestNoHistoryOfReleasesLeadsBack(t *testing.T) {
	versions := []version.Version{parse("1.0.0-rc.1"), parse("1.0.0"), parse("1.1.0"), parse("2.0.0")}
	rapid.Check(t, func(r *rapid.T) {
		fs := crashfs.New()
		p, err := rollback.OpenFS(fs, statePath)
		if err != nil {
			r.Fatal(err)
		}
		highest := map[uint32]uint32{} // security counter confirmed, by epoch
		for range rapid.IntRange(1, 30).Draw(r, "releases") {
			m := manifest.New("acme", "sensor_v1",
				manifest.NewSequence(rapid.Uint32Range(1, 3).Draw(r, "epoch"), rapid.Uint32Range(1, 5).Draw(r, "number")),
				rapid.SampledFrom(versions).Draw(r, "version"))
			m.ImageDigest, m.ImageSize = manifest.Digest{rapid.ByteRange(1, 4).Draw(r, "image")}, 1
			m.SecurityCounter = rapid.Uint32Range(0, 4).Draw(r, "counter")
			before := p.State().Installed
			if rapid.Bool().Draw(r, "downgrade") && before.Sequence < m.Sequence {
				m.Flags, m.DowngradeFrom = manifest.FlagDowngrade, []manifest.Sequence{before.Sequence}
			}
			floor := rapid.Uint32Range(0, 3).Draw(r, "keyset floor")
			if p.Check(m, rollback.Device{KeysetFloor: floor}) != nil {
				continue
			}
			again := m.Sequence == before.Sequence && m.ImageDigest == before.ImageDigest
			switch epoch := m.Sequence.Epoch(); {
			case m.Sequence <= before.Sequence && !again:
				r.Fatalf("took sequence %s on top of %s", m.Sequence, before.Sequence)
			case m.Version.Less(before.Version) && !again && !slices.Contains(m.DowngradeFrom, before.Sequence):
				r.Fatalf("took version %s on top of %s", m.Version, before.Version)
			case m.SecurityCounter < max(floor, highest[epoch]):
				r.Fatalf("took counter %d in epoch %d, where %d was confirmed", m.SecurityCounter, epoch, highest[epoch])
			default:
				highest[epoch] = max(highest[epoch], m.SecurityCounter)
			}
			if err := p.RecordVersionUpdate(rollback.EntryOf(m, manifest.Digest{})); err != nil {
				r.Fatal(err)
			}
			if p, err = rollback.OpenFS(fs, statePath); err != nil {
				r.Fatal(err)
			}
		}
	})
}
