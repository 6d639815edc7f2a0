package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// A Snapshot is what is published, at one moment. It is never changed, only
// replaced. The zero value is an empty repository.
type Snapshot struct {
	revision  int64 // of the repository
	types     map[string]*typeView
	byHash    map[manifest.Digest]*Release // by the hash of the signed manifest
	byImage   map[manifest.Digest][]string // device types that have a release with an image
	documents map[manifest.Digest]bool     // of the releases
	keys      trust.KeyRing                // that keysets name
}

// typeView is what is published for one device type.
type typeView struct {
	keysets      []publishedKeyset // oldest first
	newestKeyset uint32
	floors       map[uint32]uint32 // security floor by keyset version
	releases     []*Release        // newest first
	accepts      []acceptance      // of keysets, in the order of the newer
}

// floor returns the security floor of the keyset that a device holds. One that
// is not known here counts as the newest.
func (t *typeView) floor(keysetVersion uint32) uint32 {
	if floor, ok := t.floors[keysetVersion]; ok {
		return floor
	}
	return t.floors[t.newestKeyset]
}

// find returns the release that is running, by sequence and image, or nil.
func (t *typeView) find(run Running) *Release {
	i, ok := slices.BinarySearchFunc(t.releases, run.Sequence, func(r *Release, s manifest.Sequence) int {
		switch seq := r.Manifest.Sequence; {
		case seq > s: // newest first
			return -1
		case seq < s:
			return 1
		}
		return 0
	})
	if !ok || t.releases[i].Manifest.ImageDigest != run.Digest {
		return nil
	}
	return t.releases[i]
}

func (s *Snapshot) find(deviceType string, run Running) *Release {
	t, ok := s.types[deviceType]
	if !ok {
		return nil
	}
	return t.find(run)
}

// imageOf returns the image that a manifest names, zero if it is not known.
func (s *Snapshot) imageOf(manifestHash manifest.Digest) manifest.Digest {
	if r, ok := s.byHash[manifestHash]; ok {
		return r.Manifest.ImageDigest
	}
	return manifest.Digest{}
}

// Manifest returns the published signed manifest of that hash, withdrawn or
// not: a device may be in the middle of it.
func (f *Fleet) Manifest(hash manifest.Digest) (signed []byte, ok bool) {
	r, ok := f.snapshot.Load().byHash[hash]
	if !ok {
		return nil, false
	}
	return r.Signed, true
}

// Publishes reports whether any release has the image. What is only uploaded
// is nobody's business yet.
func (f *Fleet) Publishes(image manifest.Digest) bool {
	return len(f.snapshot.Load().byImage[image]) > 0
}

// PublishesDocument reports whether a digest is that of a release's document.
// The other documents that are stored, such as SBOMs, are for operators.
func (f *Fleet) PublishesDocument(digest manifest.Digest) bool {
	return f.snapshot.Load().documents[digest]
}

// VersionOf returns the version of what runs, empty if it is not published.
func (f *Fleet) VersionOf(deviceType string, run Running) string {
	if r := f.snapshot.Load().find(deviceType, run); r != nil {
		return r.Manifest.Version.String()
	}
	return ""
}

// VersionOffered returns the version of an offered release.
func (f *Fleet) VersionOffered(o Offer) string {
	if r, ok := f.snapshot.Load().byHash[o.Manifest]; ok {
		return r.Manifest.Version.String()
	}
	return ""
}

func (f *Fleet) refreshSnapshot(ctx context.Context) error {
	// Before the reading: what comes in while reading is read again next time.
	revision, err := f.cfg.Repository.Revision(ctx)
	old := f.snapshot.Load()
	if err != nil || old.types != nil && revision == old.revision {
		return err
	}
	next := &Snapshot{
		revision: revision, types: map[string]*typeView{},
		byHash: map[manifest.Digest]*Release{}, byImage: map[manifest.Digest][]string{}, documents: map[manifest.Digest]bool{},
		keys: trust.KeyRing{},
	}
	types, err := f.cfg.Repository.Types(ctx)
	if err != nil {
		return err
	}
	for _, deviceType := range types {
		view, err := f.viewType(ctx, deviceType, old)
		if err != nil {
			return fmt.Errorf("read releases: %w", err)
		}
		next.add(deviceType, view)
	}
	f.snapshot.Store(next)
	return nil
}

func (s *Snapshot) add(deviceType string, view *typeView) {
	s.types[deviceType] = view
	for _, ks := range view.keysets {
		maps.Copy(s.keys, ks.keys)
	}
	for _, r := range view.releases {
		s.byHash[r.Hash] = r
		s.documents[r.Manifest.ReleaseDigest] = true
		if image := r.Manifest.ImageDigest; !slices.Contains(s.byImage[image], deviceType) {
			s.byImage[image] = append(s.byImage[image], deviceType)
		}
	}
}

func (f *Fleet) viewType(ctx context.Context, deviceType string, old *Snapshot) (*typeView, error) {
	keysets, err := f.publishedKeysets(ctx, deviceType, old)
	if err != nil {
		return nil, err
	}
	releases, err := f.cfg.Repository.Versions(ctx, deviceType)
	if err != nil {
		return nil, err
	}
	t := &typeView{keysets: keysets, floors: map[uint32]uint32{}}
	for _, r := range releases {
		t.releases = append(t.releases, &Release{
			Manifest: r.Manifest.Manifest(), Signed: r.Manifest.Bytes(), Hash: r.ManifestHash,
			Withdrawn: r.Withdrawn(), verified: map[uint32]bool{},
		})
	}
	for _, ks := range keysets {
		t.newestKeyset = max(t.newestKeyset, ks.version())
		t.floors[ks.version()] = ks.Keyset().SecurityFloor
		ks.verifyUnder(t.releases, old)
	}
	var known []acceptance
	if before, ok := old.types[deviceType]; ok {
		known = before.accepts
	}
	t.accepts = acceptances(keysets, known)
	return t, nil
}

// verifyUnder notes which releases a device that holds the keyset can verify.
// What the old snapshot knows is not verified again: neither a manifest nor a
// keyset of one version ever changes.
func (k publishedKeyset) verifyUnder(releases []*Release, old *Snapshot) {
	for _, r := range releases {
		if known, ok := old.byHash[r.Hash]; ok {
			if verdict, ok := known.verified[k.version()]; ok {
				r.verified[k.version()] = verdict
				continue
			}
		}
		_, err := k.VerifyManifest(r.Signed, k.keys)
		r.verified[k.version()] = err == nil
	}
}

// Explain returns what a device would be offered now, and why not more.
func (f *Fleet) Explain(d Device) Decision {
	return f.snapshot.Load().Decide(Question{
		Device: d, Running: d.Installed, KeysetVersion: d.KeysetVersion, Boot: d.Boot,
		HardwareRevision: d.HardwareRevision, Now: f.cfg.Now(),
	}, f.cfg.Rollouts)
}

// state returns what package rollback looks at.
func (d *Device) state(installed rollback.Entry) rollback.State {
	return rollback.State{Installed: installed, Floor: d.Floor, Rejected: d.Rejected}
}
