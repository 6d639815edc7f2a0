package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/repository"
)

// A KeysetCohort is the devices of a type that hold one keyset, and how they
// would come to a new one.
type KeysetCohort struct {
	KeysetVersion uint32   `json:"keyset_version"` // 0: they were never here
	Devices       int      `json:"devices"`
	Examples      []string `json:"examples"` // ids
	Follows       bool     `json:"follows"`
	Path          []uint32 `json:"path"` // keysets that they take one after the other; none: they have it, or cannot follow
	Why           string   `json:"why"`  // they do not follow; empty: they do
}

// KeysetCohorts says which devices of a type would follow to the newest keyset
// if a plan were carried out. Devices ask for the newest, and where they cannot
// accept that for one after the other.
func (f *Fleet) KeysetCohorts(ctx context.Context, plan repository.KeysetPlan) ([]KeysetCohort, error) {
	if err := f.whole(); err != nil {
		return nil, fmt.Errorf("keyset cohorts: %w", err)
	}
	steps, err := f.stepsOf(ctx, plan)
	if err != nil {
		return nil, fmt.Errorf("keyset cohorts: %w", err)
	}
	byVersion := map[uint32]*KeysetCohort{}
	f.each(plan.DeviceType, Ref{}, func(d *Device) bool {
		if d.Revoked {
			return true
		}
		c, ok := byVersion[d.KeysetVersion]
		if !ok {
			c = &KeysetCohort{KeysetVersion: d.KeysetVersion, Examples: []string{}}
			c.Path, c.Why = steps.from(d.KeysetVersion)
			c.Follows = c.Why == ""
			byVersion[d.KeysetVersion] = c
		}
		c.Devices++
		if len(c.Examples) < maxExamples {
			c.Examples = append(c.Examples, d.ID)
		}
		return true
	})
	list := []KeysetCohort{}
	for _, c := range byVersion {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b KeysetCohort) int { return cmp.Compare(b.KeysetVersion, a.KeysetVersion) })
	return list, nil
}

// steps are the keysets of a type, and which lead to which.
type steps struct {
	versions []uint32 // ascending
	accepts  map[acceptance]bool
}

// stepsOf returns the steps that there are once a plan is carried out.
func (f *Fleet) stepsOf(ctx context.Context, plan repository.KeysetPlan) (steps, error) {
	known, err := f.publishedKeysets(ctx, plan.DeviceType, f.snapshot.Load())
	if err != nil && !errors.Is(err, repository.ErrNotFound) {
		return steps{}, err
	}
	for _, ks := range plan.Added {
		known = append(known, publishedKeyset{ks, plan.Keys})
	}
	s := steps{accepts: map[acceptance]bool{}}
	for _, a := range acceptances(known, nil) {
		s.accepts[a] = true
	}
	for _, ks := range known {
		s.versions = append(s.versions, ks.version())
	}
	return s, nil
}

// from returns the way of a device from the keyset that it holds to the newest,
// or why there is none.
func (s steps) from(held uint32) (path []uint32, why string) {
	newest := s.versions[len(s.versions)-1]
	switch {
	case held == newest:
		return []uint32{}, ""
	case held == 0:
		return []uint32{}, "they were never here: what they hold is not known"
	case held > newest:
		return []uint32{}, fmt.Sprintf("they hold keyset %d, which is newer and is not on this server: publish it here", held)
	case !slices.Contains(s.versions, held):
		return []uint32{}, fmt.Sprintf("keyset %d is not on this server: whether its roots signed the new one is not known", held)
	}
	if s.accepts[acceptance{held, newest}] {
		return []uint32{newest}, ""
	}
	for _, next := range s.versions {
		if next > held && s.accepts[acceptance{held, next}] {
			held, path = next, append(path, next)
		}
	}
	if held != newest {
		return []uint32{}, fmt.Sprintf("the roots of keyset %d did not sign what leads to keyset %d", held, newest)
	}
	return path, ""
}
