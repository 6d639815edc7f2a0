package repository

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// allowed says what docs/spec/objects.md says of a manifest, looking at every
// release there is.
func allowed(published []*manifest.Manifest, m *manifest.Manifest, floor uint32) bool {
	known := false
	for _, p := range published {
		if m.Sequence <= p.Sequence {
			return false
		}
		if p.Sequence.Epoch() == m.Sequence.Epoch() {
			floor = max(floor, p.SecurityCounter)
		}
		if p.Component != m.Component || p.Downgrade() {
			continue
		}
		known = known || p.Version == m.Version && p.ImageDigest == m.ImageDigest
		if !m.Downgrade() && version.Compare(m.Version, p.Version) <= 0 {
			return false
		}
	}
	return m.SecurityCounter >= floor && (known || !m.Downgrade())
}

// The rules look at the newest releases only; a model looks at all of them.
func TestTheRulesAgreeWithAModelOfThem(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	taken, refused := 0, 0
	for range rounds(4) {
		v := newVendor("gateway")
		v.floor = 1
		v.releases = append(v.releases, newKey())
		r := started(t, v)
		var published []*manifest.Manifest
		for range 60 {
			d := draft{
				epoch: min(2, 1+uint32(len(published)/12)), number: uint32(1 + len(published) + random.IntN(4)),
				version: fmt.Sprintf("1.%d.0", max(0, len(published)+random.IntN(5)-2)),
			}
			d.change = func(m *manifest.Manifest) {
				m.SecurityCounter = uint32(1 + (len(published)+random.IntN(9))/8)
				m.Component = []string{"", "", "radio"}[random.IntN(3)]
				if len(published) > 0 && random.IntN(3) == 0 {
					m.Flags |= manifest.FlagDowngrade
					m.DowngradeFrom = []manifest.Sequence{1}
					of := published[random.IntN(len(published))]
					m.Version, m.Component = of.Version, of.Component
					d.image = firmwareOf(of.Version.String())
					m.ImageDigest, m.ImageSize = of.ImageDigest, of.ImageSize
				}
			}
			b, _ := v.release(d)
			m, _, err := trust.ParseManifest(b.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(published, func(p *manifest.Manifest) bool { return reflect.DeepEqual(p, m) }) {
				continue // the same release again
			}
			want := allowed(published, m, v.floor)
			_, err = r.AddFirmware(ctx(), alice, b, bytes.NewReader(firmwareOf(m.Version.String())))
			if want != (err == nil) {
				t.Fatalf("sequence %s, version %s, component %q, counter %d, downgrade %t after %d releases: %v, want allowed %t",
					m.Sequence, m.Version, m.Component, m.SecurityCounter, m.Downgrade(), len(published), err, want)
			}
			if err != nil {
				refused++
				continue
			}
			taken++
			published = append(published, m)
		}
	}
	if taken < 40 || refused < 40 {
		t.Errorf("%d taken, %d refused: too few to mean anything", taken, refused)
	}
	t.Logf("%d taken, %d refused", taken, refused)
}

func TestTheMemoryOfVerifiedManifestsIsBounded(t *testing.T) {
	var r Repository
	for i := range 3 * maxRemembered {
		r.remember(verification{manifest: manifest.Digest{byte(i), byte(i >> 8), byte(i >> 16)}}, trust.VerifiedManifest{})
	}
	n := 0
	r.manifests.Range(func(any, any) bool { n++; return true })
	if n == 0 || n > maxRemembered {
		t.Errorf("%d are remembered", n)
	}
}

func TestABundleWithoutAManifestIsNamed(t *testing.T) {
	r := openDir(t, t.TempDir())
	_, err := r.CheckRelease(ctx(), trust.Bundle{})
	wantErr(t, err, ErrNoManifest)
}
