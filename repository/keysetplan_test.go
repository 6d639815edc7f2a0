package repository

import (
	"testing"

	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// A plan refuses what AddKeyset refuses, takes what it takes, and adds nothing.
func TestAPlanOfKeysetsIsWhatAddingThemDoes(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	oldRoots := v.roots
	v.roots = []*signing.Key{newKey(), newKey()}
	both, alone := v.keyset(2, oldRoots...), v.keyset(3) // the second is not signed by the first roots
	chain := trust.Bundle{Keysets: append(both.Keysets, alone.Keysets...), Keys: both.Keys}
	for id, key := range alone.Keys {
		chain.Keys[id] = key
	}
	other := newVendor("gateway").keyset(1)
	for name, c := range map[string]struct {
		bundle trust.Bundle
		want   error
	}{
		"roots that no device knows": {alone, trust.ErrNotEnoughSigners},
		"nothing":                    {trust.Bundle{}, ErrNoKeyset},
		"keys that nobody has":       {trust.Bundle{Keysets: alone.Keysets}, ErrMissingKey},
		"two types":                  {trust.Bundle{Keysets: append(other.Keysets, both.Keysets...), Keys: other.Keys}, ErrMixedTypes},
	} {
		if _, err := r.PlanKeysets(t.Context(), c.bundle); err == nil {
			t.Errorf("%s: planned", name)
		} else {
			wantErr(t, err, c.want)
		}
	}
	plan, err := r.PlanKeysets(t.Context(), chain)
	if err != nil || len(plan.Added) != 2 || plan.Held.Keyset().Version != 1 || plan.Added[1].Keyset().Version != 3 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if latest, err := r.LatestKeyset(t.Context(), "sensor_v1"); err != nil || latest.Keyset().Version != 1 {
		t.Fatalf("the plan added keyset %d, %v", latest.Keyset().Version, err)
	}
	if added, err := r.AddKeyset(t.Context(), alice, chain); err != nil || added.Hash() != plan.Added[1].Hash() {
		t.Errorf("what was planned is not what was added: %v", err)
	}
	if again, err := r.PlanKeysets(t.Context(), chain); err != nil || len(again.Added) != 0 {
		t.Errorf("what is there already: %d to add, %v", len(again.Added), err)
	}
	first, err := r.PlanKeysets(t.Context(), other)
	if err != nil || !first.Held.IsZero() || len(first.Added) != 1 {
		t.Errorf("a new type: %+v, %v", first, err)
	}
}
