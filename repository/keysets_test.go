package repository

import (
	"testing"

	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

func TestKeysetsRotateByTheRule(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	oldRoots := v.roots
	v.roots = []*signing.Key{newKey(), newKey()}

	_, err := r.AddKeyset(t.Context(), alice, v.keyset(2))
	wantErr(t, err, trust.ErrNotEnoughSigners) // by the new roots only
	both := v.keyset(3, oldRoots...)
	added, err := r.AddKeyset(t.Context(), alice, both)
	if err != nil || added.Keyset().Version != 3 {
		t.Fatal(added.Keyset(), err)
	}
	if again, err := r.AddKeyset(t.Context(), alice, both); err != nil || again.Hash() != added.Hash() {
		t.Errorf("the same again: %v", err)
	}
	v.floor = 9
	_, err = r.AddKeyset(t.Context(), alice, v.keyset(3))
	wantErr(t, err, trust.ErrKeysetNotNewer) // another one under the same version
	_, err = r.AddKeyset(t.Context(), alice, v.keyset(2, oldRoots...))
	wantErr(t, err, trust.ErrKeysetNotNewer)
	v.deviceType = "gateway"
	if _, err = r.AddKeyset(t.Context(), alice, v.keyset(1)); err != nil {
		t.Errorf("first keyset of another type: %v", err)
	}

	latest, err := r.LatestKeyset(t.Context(), "sensor_v1")
	if err != nil || latest.Keyset().Version != 3 {
		t.Error(latest.Keyset(), err)
	}
	first, err := r.Keyset(t.Context(), "sensor_v1", 1)
	if err != nil || first.Keyset().Version != 1 {
		t.Error(first.Keyset(), err)
	}
	all, err := r.Keysets(t.Context(), "sensor_v1")
	if err != nil || len(all) != 2 {
		t.Error(len(all), err)
	}
	ring, err := r.Keys(t.Context(), latest.Keyset())
	if err != nil || len(ring) != 3 {
		t.Error(ring, err)
	}
	for id := range ring {
		if key, err := r.Key(t.Context(), id); err != nil || key.ID() != id {
			t.Errorf("key %s: %v", id, err)
		}
	}
	if report := wantSound(t, r); report.Keysets != 3 || report.AuditRecords != 3 {
		t.Errorf("%+v", report)
	}
}

func TestAKeysetBringsEveryKeyThatItNames(t *testing.T) {
	v := newVendor("sensor_v1")
	b := v.keyset(1)
	for id := range b.Keys {
		keys := trust.NewKeyRing(b.Keys.Keys()...)
		delete(keys, id)
		r := openDir(t, t.TempDir())
		_, err := r.AddKeyset(t.Context(), alice, trust.Bundle{Keysets: b.Keysets, Keys: keys})
		wantErr(t, err, ErrMissingKey)
	}
	// Nor does a key stand for another under whose id it is supplied.
	keys, other := trust.NewKeyRing(b.Keys.Keys()...), newKey().Public()
	for id := range keys {
		keys[id] = other
		break
	}
	_, err := openDir(t, t.TempDir()).AddKeyset(t.Context(), alice, trust.Bundle{Keysets: b.Keysets, Keys: keys})
	wantErr(t, err, ErrMissingKey)
	// Those that are held need not be brought again.
	r := started(t, v)
	next := v.keyset(2)
	if _, err := r.AddKeyset(t.Context(), alice, trust.Bundle{Keysets: next.Keysets}); err != nil {
		t.Error(err)
	}
}

func TestSeveralKeysetsInOneBundle(t *testing.T) {
	v := newVendor("sensor_v1")
	one, two, three := v.keyset(1), v.keyset(2), v.keyset(3)
	b := trust.Bundle{Keysets: [][]byte{one.Keysets[0], two.Keysets[0], three.Keysets[0]}, Keys: one.Keys}
	r := openDir(t, t.TempDir())
	for range 2 {
		newest, err := r.AddKeyset(t.Context(), alice, b)
		if err != nil || newest.Keyset().Version != 3 {
			t.Errorf("%v, %v", newest.Keyset(), err)
		}
	}
	_, err := r.AddKeyset(t.Context(), alice, trust.Bundle{})
	if err == nil {
		t.Error("a bundle without keysets was taken")
	}
	if _, err := r.AddKeyset(t.Context(), alice, trust.Bundle{Keysets: [][]byte{[]byte("no keyset")}}); err == nil {
		t.Error("garbage was taken")
	}
	wantSound(t, r)
}
