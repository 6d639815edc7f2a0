package api_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// rotation makes keysets of the system's device type.
type rotation struct {
	*otatest.System
	t     *testing.T
	roots []*signing.Key
}

// next returns the keyset of a version, with the roots and a release key,
// signed by the roots and by others.
func (r *rotation) next(version uint32, release *signing.Key, epoch uint32, others ...*signing.Key) []byte {
	r.t.Helper()
	ks := &trust.Keyset{
		Vendor: otatest.Vendor, DeviceType: otatest.DeviceType, Version: version, RootThreshold: 2, ReleaseThreshold: 1,
		Releases: []trust.SignerKey{{ID: release.Public().ID(), Algorithm: release.Public().Algorithm(), Epoch: epoch}},
	}
	r.Keys[release.Public().ID()] = release.Public()
	for _, root := range r.roots {
		ks.Roots = append(ks.Roots, trust.SignerKey{ID: root.Public().ID(), Algorithm: root.Public().Algorithm()})
		r.Keys[root.Public().ID()] = root.Public()
	}
	return r.SignKeyset(ks, append(others, r.roots[:2]...)...)
}

func newKey(t *testing.T) *signing.Key {
	t.Helper()
	return must(signing.Generate(trust.Ed25519))(t)
}

// The plan of a keyset says which devices would follow, by which way, and which
// releases it ends.
func TestAKeysetIsPlannedBeforeItIsPublished(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		r := &rotation{s, t, s.Roots}
		old := s.Publish("1.0.0", []byte("one"))
		holds := func(id string, version uint32, nonce uint64) {
			t.Helper()
			_, err := s.Server.CheckForUpdates(t.Context(), trust.CheckRequest{
				Device: id, DeviceType: otatest.DeviceType, Nonce: nonce, Sequence: old.Sequence, ImageDigest: old.ImageDigest, KeysetVersion: version,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range 4 {
			s.Device(fmt.Sprintf("dev-%d", i))
		}
		holds("dev-0", 1, 1)
		holds("dev-1", 1, 1)
		holds("dev-2", 7, 1) // was given it by its service port; dev-3 was never here

		// Roots change in 2, and 3 is signed by the new ones alone: who holds 1
		// goes by way of 2.
		before := s.Roots[:2]
		r.roots = []*signing.Key{newKey(t), newKey(t)}
		two := r.next(2, s.Release, 1, before...)
		three := r.next(3, newKey(t), 2)
		stranger := r.next(4, s.Release, 1)
		chain := trust.Bundle{Keysets: [][]byte{two, three}, Keys: s.Keys}
		plan := must(m.CheckKeyset(t.Context(), chain))(t)
		var got string
		for _, c := range plan.Cohorts {
			got += fmt.Sprintf("%d×keyset %d %v %v; ", c.Devices, c.KeysetVersion, c.Follows, c.Path)
		}
		if want := "1×keyset 7 false []; 2×keyset 1 true [2 3]; 1×keyset 0 false []; "; got != want {
			t.Errorf("%s; want %s", got, want)
		}
		if plan.Held.Version != 1 || len(plan.Added) != 2 || plan.Stranded != 1 || len(plan.Ends) != 1 || plan.Ends[0].Identity != old.Identity {
			t.Errorf("%+v", plan)
		}
		if list := must(m.Keysets(t.Context(), otatest.DeviceType))(t); list[0].Version != 1 {
			t.Errorf("keyset %d is published by its plan", list[0].Version)
		}
		if _, err := m.CheckKeyset(t.Context(), trust.Bundle{Keysets: [][]byte{stranger}, Keys: s.Keys}); !errors.Is(err, trust.ErrNotEnoughSigners) {
			t.Errorf("roots that no device knows: %v", err)
		}
		must(m.AddKeyset(t.Context(), chain))(t)
		if plan := must(m.CheckKeyset(t.Context(), chain))(t); len(plan.Added) != 0 || len(plan.Ends) != 0 {
			t.Errorf("what is there already: %+v", plan)
		}
	})
}
