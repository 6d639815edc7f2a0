package fleet

import (
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// A held device gets nothing, a pinned one gets its version or nothing, and no
// rollout is asked about either.
func TestHoldAndPinHaveTheLastWord(t *testing.T) {
	none := says{ok: true}
	r3, r2, r1 := release(t, 3, nil), release(t, 2, nil), release(t, 1, nil)
	withdrawn := release(t, 2, func(r *Release) { r.Withdrawn = true })
	newerKeyset := release(t, 2, func(r *Release) { r.verified = map[uint32]bool{2: true} })
	back := downgrade(t, 4, 3) // to version 1.1.0
	back.Manifest.Version, back.Manifest.ImageDigest = r1.Manifest.Version, r1.Manifest.ImageDigest
	for _, c := range []struct {
		name     string
		releases []*Release
		device   Device
		runs     Running
		rollouts Rollouts
		want     *Release
		why      error
	}{
		{"held", []*Release{r3, r2, r1}, Device{Hold: true, Pin: "1.3.0", UpdateNow: true}, running(r1), nil, nil, ErrHeld},
		{"pinned to one in between", []*Release{r3, r2, r1}, Device{Pin: "1.2.0"}, running(r1), nil, r2, nil},
		{"whatever a rollout says", []*Release{r3, r2, r1}, Device{Pin: "1.2.0"}, running(r1), none, r2, nil},
		{"pinned to what runs", []*Release{r3, r2, r1}, Device{Pin: "1.1.0"}, running(r1), nil, nil, nil},
		{"pinned to an older one", []*Release{r3, r2, r1}, Device{Pin: "1.1.0"}, running(r2), nil, nil, ErrPinned},
		{"pinned to one that is not there", []*Release{r3, r2, r1}, Device{Pin: "1.9.0"}, running(r1), nil, nil, ErrPinned},
		{"pinned to one that was withdrawn", []*Release{r3, withdrawn, r1}, Device{Pin: "1.2.0"}, running(r1), nil, nil, ErrPinned},
		{"back by an approved downgrade", []*Release{back, r3, r2, r1}, Device{Pin: "1.1.0"}, running(r3), nil, back, nil},
		{"but not from elsewhere", []*Release{back, r3, r2, r1}, Device{Pin: "1.1.0"}, running(r2), nil, nil, reason.NotApplicable},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := snapshotOf(c.releases...).Decide(Question{Device: in(c.device), Running: c.runs, KeysetVersion: 2, Now: time.Unix(1_800_000_000, 0)}, c.rollouts)
			if d.Release != c.want || !errors.Is(d.Why, c.why) {
				t.Errorf("release %v, why %v; want %v, %v", d.Release, d.Why, c.want, c.why)
			}
		})
	}
	t.Run("a newer keyset comes first", func(t *testing.T) {
		d := snapshotOf(r3, newerKeyset, r1).Decide(Question{Device: in(Device{Pin: "1.2.0"}), Running: running(r1), KeysetVersion: 1}, nil)
		if d.Release != nil || d.KeysetVersion != 2 || d.Why == nil {
			t.Errorf("%+v", d)
		}
	})
}

func in(d Device) Device {
	d.Ref = Ref{testType, "dev-0001"}
	return d
}
