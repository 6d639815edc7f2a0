package console

import (
	"net/url"

	"github.com/secure-ota/secure-ota/internal/rollout"
)

// A track is how far the devices of a rollout, or of a stage, are.
type track bar

// String describes the track to who cannot see it.
func (t track) String() string { return bar(t).String() }

// trackOf draws counts, the proven first. target is what the whole is; 0: what
// was counted. list is the path of the list of devices; empty: there is none.
func trackOf(c rollout.Counts, target int, list string) track {
	href := func(state rollout.DeviceState) string {
		if list == "" {
			return ""
		}
		return list + "?" + url.Values{"state": {string(state)}}.Encode()
	}
	parts := []segment{
		{Name: "confirmed", Class: "good", Devices: c.Confirmed, Href: href(rollout.Confirmed)},
		{Name: "on trial", Class: "busy", Devices: c.Trial, Href: href(rollout.Trial)},
		{Name: "installed", Class: "busy2", Devices: c.Installed, Href: href(rollout.Installed)},
		{Name: "downloading", Class: "busy3", Devices: c.Downloading, Href: href(rollout.Downloading)},
		{Name: "offered", Class: "busy4", Devices: c.Offered, Href: href(rollout.Offered)},
		{Name: "to try again", Class: "busy4", Devices: c.Retrying, Href: href(rollout.Retrying)},
		{Name: "failed", Class: "bad", Devices: c.Failed, Href: href(rollout.Failed)},
		{Name: "reverted", Class: "bad", Devices: c.Reverted, Href: href(rollout.Reverted)},
		{Name: "refused", Class: "bad", Devices: c.Refused, Href: href(rollout.Refused)},
		{Name: "timed out", Class: "bad", Devices: c.TimedOut, Href: href(rollout.TimedOut)},
		{Name: "taken over", Class: "none", Devices: c.Left, Href: href(rollout.Left)},
		{Name: "waiting", Class: "rest", Devices: c.Waiting},
	}
	whole := 0
	for _, p := range parts {
		whole += p.Devices
	}
	whole = max(whole, target)
	var b bar
	for _, p := range parts {
		b.add(p, whole)
	}
	return track(b)
}

// failures counts the devices that failed and are offered the release no more.
func failures(c rollout.Counts) int { return c.Failed + c.Reverted + c.Refused + c.TimedOut }
