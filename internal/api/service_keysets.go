package api

import (
	"context"
	"errors"
	"slices"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

func (l local) AddKeyset(ctx context.Context, bundle trust.Bundle) (Keyset, error) {
	if err := l.mayAddKeyset(ctx, bundle); err != nil {
		return Keyset{}, err
	}
	ks, err := l.cfg.Repository.AddKeyset(ctx, l.as(), bundle)
	if err != nil {
		return Keyset{}, l.refused(ctx, "keyset", "", err)
	}
	l.changed(ctx)
	return keysetOf(ks), nil
}

// CheckKeyset refuses what AddKeyset would refuse, on record.
func (l local) CheckKeyset(ctx context.Context, bundle trust.Bundle) (KeysetPlan, error) {
	if err := l.mayAddKeyset(ctx, bundle); err != nil {
		return KeysetPlan{}, err
	}
	found, err := l.cfg.Repository.PlanKeysets(ctx, bundle)
	if err != nil {
		return KeysetPlan{}, l.refused(ctx, "keyset", "", err)
	}
	plan := KeysetPlan{DeviceType: found.DeviceType, Added: []Keyset{}, Ends: []EndingRelease{}}
	if !found.Held.IsZero() {
		held := keysetOf(found.Held)
		plan.Held = &held
	}
	for _, ks := range found.Added {
		plan.Added = append(plan.Added, keysetOf(ks))
	}
	if plan.Ends, err = l.endingReleases(ctx, found); err != nil {
		return KeysetPlan{}, err
	}
	plan.Cohorts, err = l.cfg.Fleet.KeysetCohorts(ctx, found)
	for _, c := range plan.Cohorts {
		if !c.Follows && c.KeysetVersion != 0 {
			plan.Stranded += c.Devices
		}
	}
	return plan, err
}

// endingReleases lists the releases on offer that devices refuse once they hold
// the newest keyset of a plan.
func (l local) endingReleases(ctx context.Context, plan repository.KeysetPlan) ([]EndingRelease, error) {
	list := []EndingRelease{}
	if len(plan.Added) == 0 {
		return list, nil
	}
	newest := plan.Added[len(plan.Added)-1]
	releases, err := l.cfg.Repository.Versions(ctx, plan.DeviceType)
	if err != nil {
		return nil, err
	}
	for _, r := range releases {
		m := r.Manifest.Manifest()
		_, err := newest.VerifyManifest(r.Manifest.Bytes(), plan.Keys)
		if err == nil && m.SecurityCounter < newest.Keyset().SecurityFloor {
			err = trust.ErrBelowFloor
		}
		if err != nil && !r.Withdrawn() {
			list = append(list, EndingRelease{r.Identity(), m.Version, err.Error()})
		}
	}
	return list, nil
}

// mayAddKeyset refuses who may not publish the keysets of a bundle.
func (l local) mayAddKeyset(ctx context.Context, bundle trust.Bundle) error {
	if err := l.allow(ctx, auth.Publisher, "keyset.add", keysetTypes(bundle)...); err != nil {
		return err
	}
	if err := l.mayIntroduce(ctx, bundle); err != nil {
		return l.refused(ctx, "keyset", "", err)
	}
	return nil
}

// mayIntroduce asks for an administrator where a keyset is the first of its
// device type.
func (l local) mayIntroduce(ctx context.Context, bundle trust.Bundle) error {
	types, err := l.cfg.Repository.Types(ctx)
	if err != nil {
		return err
	}
	for _, raw := range bundle.Keysets {
		ks, _, err := trust.ParseKeyset(raw)
		if err != nil {
			return err
		}
		if !slices.Contains(types, ks.DeviceType) {
			return l.allow(ctx, auth.Administrator, "keyset.add", ks.DeviceType)
		}
	}
	return nil
}

// mayBring refuses what a scope does not allow of the keysets in a release's
// bundle: one that is newer than what is held is added, of whatever type it is.
func (l local) mayBring(ctx context.Context, bundle trust.Bundle) error {
	for _, raw := range bundle.Keysets {
		ks, _, err := trust.ParseKeyset(raw)
		if err != nil {
			return err
		}
		held, err := l.cfg.Repository.LatestKeyset(ctx, ks.DeviceType)
		switch {
		case err == nil && ks.Version <= held.Keyset().Version:
			continue
		case err != nil && !errors.Is(err, repository.ErrNotFound):
			return err
		}
		if err := l.within(ctx, "keyset.add", ks.DeviceType); err != nil {
			return err
		}
	}
	return nil
}

func (l local) Keysets(ctx context.Context, deviceType string) ([]Keyset, error) {
	if err := l.allow(ctx, auth.Viewer, "keyset.list", deviceType); err != nil {
		return nil, err
	}
	types, err := l.types(ctx, deviceType)
	if err != nil {
		return nil, err
	}
	list := []Keyset{}
	for _, t := range types {
		keysets, err := l.cfg.Repository.Keysets(ctx, t)
		if err != nil {
			return nil, err
		}
		for _, ks := range slices.Backward(keysets) {
			list = append(list, keysetOf(ks))
		}
	}
	return list, nil
}

// keysetTypes is releaseType for the keysets of a bundle.
func keysetTypes(bundle trust.Bundle) []string {
	types := []string{}
	for _, raw := range bundle.Keysets {
		ks, _, err := trust.ParseKeyset(raw)
		if err != nil {
			return nil
		}
		types = append(types, ks.DeviceType)
	}
	return types
}
