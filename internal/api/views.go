package api

import (
	"context"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

func (l local) releaseOf(ctx context.Context, r repository.Release) (Release, error) {
	m := r.Manifest.Manifest()
	release := Release{
		Identity: r.Identity(), ManifestHash: r.ManifestHash, Vendor: m.Vendor, DeviceType: m.DeviceType, Component: m.Component, Version: m.Version,
		Sequence: m.Sequence, SecurityCounter: m.SecurityCounter, KeysetVersion: m.KeysetVersion,
		Hardware: append([]string{}, m.HardwareRevisions...), Expires: m.Expires,
		ImageDigest: m.ImageDigest, ImageSize: int64(m.ImageSize), Downgrade: m.Downgrade(), Security: m.Security(),
		DowngradeFrom: append([]manifest.Sequence{}, m.DowngradeFrom...), OldestReturn: m.OldestReturn,
		PublishedAt: r.Published, PublishedBy: r.PublishedBy, Withdrawal: r.Withdrawal,
	}
	if m.ReleaseDigest.IsZero() {
		return release, nil
	}
	raw, err := l.cfg.Repository.Document(ctx, m.ReleaseDigest)
	if err != nil {
		return Release{}, err
	}
	document, err := manifest.DecodeDocument(raw)
	release.Document = &document
	return release, err
}

func keysetOf(v trust.VerifiedKeyset) Keyset {
	ks := v.Keyset()
	keyset := Keyset{
		Vendor: ks.Vendor, DeviceType: ks.DeviceType, Version: ks.Version, Hash: v.Hash(),
		Roots: len(ks.Roots), RootThreshold: ks.RootThreshold, ReleaseThreshold: ks.ReleaseThreshold, SecurityFloor: ks.SecurityFloor,
	}
	for _, k := range ks.Releases {
		keyset.Releases = append(keyset.Releases, ReleaseKey{k.ID, k.Algorithm.String(), k.Epoch})
	}
	return keyset
}

func (l local) deviceOf(d fleet.Device) Device {
	view := Device{
		Ref: d.Ref, Vendor: d.Vendor, Level: d.Level, Generation: d.Generation, Revoked: d.Revoked,
		HardwareRevision: d.HardwareRevision, Labels: d.Labels, State: string(l.cfg.Fleet.State(&d)),
		Version:   l.cfg.Fleet.VersionOf(d.DeviceType, d.Installed),
		Installed: d.Installed, Confirmed: d.Confirmed, KeysetVersion: d.KeysetVersion, Boot: fleet.BootWord(d.Boot),
		LastError: d.LastError, LastEventAt: d.LastEventAt, LastDetail: d.LastDetail,
		Rejected: d.Rejected, RetryRejected: d.RetryRejected, AddedAt: d.AddedAt, LastSeen: d.LastSeen,
		Note: d.Note, Hold: d.Hold, Pin: d.Pin, UpdateNow: d.UpdateNow,
	}
	if d.LastError != 0 {
		view.LastErrorText = d.LastError.Error()
	}
	if d.LastEvent != 0 {
		view.LastEvent = d.LastEvent.String()
	}
	if why := l.cfg.Fleet.Explain(d).Why; why != nil {
		view.Why = why.Error()
	}
	if !d.Offer.IsZero() {
		view.Offer = &Offer{d.Offer.Manifest, d.Offer.Image, l.cfg.Fleet.VersionOffered(d.Offer), d.Offer.At, d.Offer.StartedAt}
	}
	return view
}
