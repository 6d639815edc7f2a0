package console

import (
	"context"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// What the page shows at most.
const (
	maxDevices  = 30
	maxReleases = 15
	maxRecords  = 30
)

// overview is what an operator sees.
type overview struct {
	Info          api.Info
	Types         []*typeChart
	Current       int          // devices that run the newest release of their type
	Attention     int          // devices that an operator should look at
	Devices       []api.Device // those that need attention first
	MoreDevices   int          // that are not shown
	Releases      []api.Release
	MoreReleases  int
	Records       []audit.Record
	RenderedAtUTC time.Time
}

// typeChart is how far the devices of one type are.
type typeChart struct {
	DeviceType string
	Newest     string // version on offer; empty: none
	Devices    int
	Versions   bar
	States     bar

	versions, states map[string]int
}

func gather(ctx context.Context, m api.Management) (*overview, error) {
	o := &overview{RenderedAtUTC: time.Now().UTC()}
	var err error
	if o.Info, err = m.Info(ctx); err != nil {
		return nil, err
	}
	if o.Releases, err = m.Releases(ctx, ""); err != nil {
		return nil, err
	}
	if o.Records, err = m.AuditRecords(ctx, audit.Filter{Limit: maxRecords}); err != nil {
		return nil, err
	}
	if err := o.gatherDevices(ctx, m); err != nil {
		return nil, err
	}
	o.draw()
	slices.SortStableFunc(o.Releases, func(a, b api.Release) int { return b.PublishedAt.Compare(a.PublishedAt) })
	o.MoreReleases = max(0, len(o.Releases)-maxReleases)
	o.Releases = o.Releases[:len(o.Releases)-o.MoreReleases]
	return o, nil
}

func (o *overview) gatherDevices(ctx context.Context, m api.Management) error {
	var fine []api.Device
	for after := (fleet.Ref{}); ; {
		list, err := m.Devices(ctx, api.DeviceQuery{After: after})
		if err != nil {
			return err
		}
		for _, d := range list {
			o.count(d)
			switch {
			case toneOf(d.State) == bad && len(o.Devices) < maxDevices:
				o.Devices = append(o.Devices, d)
			case toneOf(d.State) != bad && len(fine) < maxDevices:
				fine = append(fine, d)
			}
		}
		if len(list) < api.MaxPage {
			break
		}
		after = list[len(list)-1].Ref
	}
	o.Devices = append(o.Devices, fine[:min(len(fine), maxDevices-len(o.Devices))]...)
	total := 0
	for _, t := range o.Types {
		total += t.Devices
	}
	o.MoreDevices = total - len(o.Devices)
	return nil
}

// count puts a device into the chart of its type; devices come by type.
func (o *overview) count(d api.Device) {
	if len(o.Types) == 0 || o.Types[len(o.Types)-1].DeviceType != d.DeviceType {
		o.Types = append(o.Types, &typeChart{
			DeviceType: d.DeviceType, Newest: o.newest(d.DeviceType), versions: map[string]int{}, states: map[string]int{},
		})
	}
	t := o.Types[len(o.Types)-1]
	t.Devices++
	t.versions[d.Version]++
	t.states[d.State]++
	if d.Version == t.Newest && d.Version != "" {
		o.Current++
	}
	if toneOf(d.State) == bad {
		o.Attention++
	}
}

// newest returns the version of the newest release on offer; releases of a type
// come newest first.
func (o *overview) newest(deviceType string) string {
	for _, r := range o.Releases {
		if r.DeviceType == deviceType && r.Withdrawal == nil {
			return r.Version.String()
		}
	}
	return ""
}

func (o *overview) draw() {
	for _, t := range o.Types {
		var newestFirst []string
		for _, r := range o.Releases {
			if r.DeviceType == t.DeviceType {
				newestFirst = append(newestFirst, r.Version.String())
			}
		}
		t.Versions = versionBar(t.versions, newestFirst)
		t.States = stateBar(t.states)
	}
}
