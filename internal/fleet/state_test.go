package fleet

import (
	"slices"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func TestStateOfADevice(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).UTC()
	run := Running{manifest.NewSequence(1, 1), manifest.Digest{1}}
	open := Offer{Manifest: manifest.Digest{2}, Image: manifest.Digest{3}, At: now.Add(-time.Minute)}
	started := open
	started.StartedAt = now.Add(-30 * time.Second)
	seen := map[State]bool{}
	for _, c := range []struct {
		want   State
		device Device
	}{
		{StateRevoked, Device{Revoked: true, Boot: trust.BootTrial}},
		{StateNeverSeen, Device{Offer: open}},
		{StateSilent, Device{LastSeen: now.Add(-3*time.Hour - 1), Boot: trust.BootTrial, Offer: open}},
		{StateIdle, Device{LastSeen: now.Add(-3 * time.Hour)}},
		{StateTrial, Device{Boot: trust.BootTrial, Offer: started}},
		{StateOffered, Device{Offer: open}},
		{StateOffered, Device{Offer: open, LastEvent: trust.EventInstalled, LastEventAt: now.Add(-time.Hour)}}, // of the update before
		{StateDownloading, Device{Offer: started}},
		{StateDownloading, Device{Offer: open, LastEvent: trust.EventDownloading, LastEventAt: now}},
		{StateInstalling, Device{Offer: started, LastEvent: trust.EventInstalled, LastEventAt: now}},
		{StateFailed, Device{Offer: started, LastEvent: trust.EventFailed, LastEventAt: now}},
		{StateFailed, Device{LastEvent: trust.EventFailed, Installed: run, Confirmed: run}},
		{StateReverted, Device{Boot: trust.BootReverted, Installed: run, Confirmed: run}},
		{StateReverted, Device{LastEvent: trust.EventReverted}},
		{StateRefused, Device{LastEvent: trust.EventRefused, Installed: run, Confirmed: run}},
		{StateConfirmed, Device{Installed: run, Confirmed: run, LastEvent: trust.EventConfirmed}},
		{StateIdle, Device{Installed: run, Confirmed: Running{manifest.NewSequence(1, 2), manifest.Digest{4}}}},
		{StateIdle, Device{}},
	} {
		if c.device.LastSeen.IsZero() && c.want != StateNeverSeen {
			c.device.LastSeen = now
		}
		if got := c.device.State(now, time.Hour); got != c.want {
			t.Errorf("%s, want %s: %+v", got, c.want, c.device)
		}
		seen[c.want] = true
		if !slices.Contains(filter.States, string(c.want)) {
			t.Errorf("no filter can name %s", c.want)
		}
	}
	if len(seen) != len(filter.States) {
		t.Errorf("filters name %d states, of which %d were seen here", len(filter.States), len(seen))
	}
}

func TestADeviceThatAsksOftenIsNotSilentBeforeAnHour(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	d := Device{LastSeen: now.Add(-time.Hour)}
	if got := d.State(now, time.Second); got != StateIdle {
		t.Errorf("after an hour: %s", got)
	}
	if got := d.State(now.Add(1), time.Second); got != StateSilent {
		t.Errorf("after more than an hour: %s", got)
	}
}
