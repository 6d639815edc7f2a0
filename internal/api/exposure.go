package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/version"
)

// An Exposure says which devices still run what lacks the fix of a
// vulnerability, by the evidence that there is.
type Exposure struct {
	CVE   string         `json:"cve"`
	At    time.Time      `json:"at"`
	Types []TypeExposure `json:"types"` // of which a release names it
	// Silent on it are the types of which no release does: that says nothing
	// about whether they are vulnerable.
	Unmentioned []string `json:"unmentioned"`
}

// A TypeExposure is the part of one device type.
type TypeExposure struct {
	DeviceType string          `json:"device_type"`
	FixedIn    version.Version `json:"fixed_in"`             // the lowest version that names the fix
	Release    manifest.Digest `json:"release"`              // its identity
	Offered    bool            `json:"offered"`              // some release with the fix is not withdrawn
	SupportEnd time.Time       `json:"support_end,omitzero"` // of the type; zero: not known
	Devices    int             `json:"devices"`              // that are not revoked: the sum of what follows
	Fixed      int             `json:"fixed"`                // run a release with the fix
	Exposed    int             `json:"exposed"`              // run a release without it
	Unknown    int             `json:"unknown"`              // run an image that is not published
	NeverSeen  int             `json:"never_seen"`           // have yet to say what they run
	Versions   []VersionStatus `json:"versions"`             // the exposed first, then the unknown
	Filter     string          `json:"filter"`               // selects those that are exposed
}

// A VersionStatus counts devices that run one version.
type VersionStatus struct {
	Version  string   `json:"version"` // empty: an image that is not published
	Status   string   `json:"status"`  // exposed, unknown, fixed
	Devices  int      `json:"devices"`
	Proven   int      `json:"proven"` // by a report of their own that the image proved itself; the others said in a check that it runs
	Silent   int      `json:"silent"` // of which nothing was heard for long: they may run something else by now
	Examples []string `json:"examples"`
}

// The status of devices, in the order in which they are shown.
const (
	statusExposed = "exposed"
	statusUnknown = "unknown"
	statusFixed   = "fixed"
)

// maxExamples is how many devices are named of each version.
const maxExamples = 5

func (l local) Exposure(ctx context.Context, q ExposureQuery) (Exposure, error) {
	if err := l.allow(ctx, auth.Viewer, "fleet.exposure", q.DeviceType); err != nil {
		return Exposure{}, err
	}
	end, err := l.turns.take(ctx, l.actor, "fleet")
	if err != nil {
		return Exposure{}, err
	}
	defer end()
	if err := manifest.CheckCVE(q.CVE); err != nil {
		return Exposure{}, fmt.Errorf("exposure: %w: %v", ErrInvalid, err)
	}
	wanted, err := filter.Parse(q.Filter)
	if err != nil {
		return Exposure{}, err
	}
	types, err := l.types(ctx, q.DeviceType)
	if err != nil {
		return Exposure{}, err
	}
	exposure := Exposure{CVE: q.CVE, At: l.cfg.Now().UTC(), Types: []TypeExposure{}, Unmentioned: []string{}}
	counting := map[string]*exposureCount{}
	for _, t := range types {
		count, err := l.fixOf(ctx, t, q.CVE)
		switch {
		case err != nil:
			return Exposure{}, err
		case count == nil:
			exposure.Unmentioned = append(exposure.Unmentioned, t)
		default:
			counting[t] = count
		}
	}
	err = l.cfg.Fleet.Each(wanted, func(d *fleet.Device) {
		if count, ok := counting[d.DeviceType]; ok && !d.Revoked {
			count.add(d, l.cfg.Fleet.State(d))
		}
	})
	if err != nil {
		return Exposure{}, fmt.Errorf("exposure: %w", err)
	}
	for _, t := range slices.Sorted(maps.Keys(counting)) {
		exposure.Types = append(exposure.Types, counting[t].result(q.Filter))
	}
	return exposure, nil
}

// An exposureCount counts the devices of one type.
type exposureCount struct {
	TypeExposure
	versions map[fleet.Running]version.Version // of what is published
	counts   map[string]*VersionStatus
}

// fixOf finds the release that first names a vulnerability as fixed, nil if
// none does. Versions rise with the order of releases (rollback protection sees
// to that), so every later version has the fix, and a downgrade, which carries
// the version of the older code, has not.
func (l local) fixOf(ctx context.Context, deviceType, cve string) (*exposureCount, error) {
	releases, err := l.cfg.Repository.Versions(ctx, deviceType)
	if err != nil {
		return nil, err
	}
	c := &exposureCount{versions: map[fleet.Running]version.Version{}, counts: map[string]*VersionStatus{}}
	c.DeviceType = deviceType
	for _, r := range releases {
		m := r.Manifest.Manifest()
		if m.Component != "" {
			continue // devices tell what main firmware they run
		}
		c.versions[fleet.Running{Sequence: m.Sequence, Digest: m.ImageDigest}] = m.Version
		release, err := l.releaseOf(ctx, r)
		if err != nil {
			return nil, err
		}
		if release.Document == nil || !slices.Contains(release.Document.CVEs, cve) {
			continue
		}
		if c.FixedIn.IsZero() || m.Version.Less(c.FixedIn) {
			c.FixedIn, c.Release = m.Version, release.Identity
		}
	}
	if c.FixedIn.IsZero() {
		return nil, nil
	}
	for _, r := range releases {
		m := r.Manifest.Manifest()
		c.Offered = c.Offered || m.Component == "" && !r.Withdrawn() && !m.Version.Less(c.FixedIn)
	}
	settings, err := l.cfg.Rollouts.Type(ctx, deviceType)
	c.SupportEnd = settings.SupportEnd
	return c, err
}

func (c *exposureCount) add(d *fleet.Device, state fleet.State) {
	c.Devices++
	if d.LastSeen.IsZero() {
		c.NeverSeen++
		return
	}
	v, published := c.versions[d.Installed]
	status := statusFixed
	switch {
	case !published:
		status = statusUnknown
		c.Unknown++
	case v.Less(c.FixedIn):
		status = statusExposed
		c.Exposed++
	default:
		c.Fixed++
	}
	s, ok := c.counts[v.String()]
	if !ok {
		s = &VersionStatus{Version: v.String(), Status: status, Examples: []string{}}
		c.counts[v.String()] = s
	}
	s.Devices++
	if d.Confirmed == d.Installed {
		s.Proven++
	}
	if state == fleet.StateSilent {
		s.Silent++
	}
	if len(s.Examples) < maxExamples {
		s.Examples = append(s.Examples, d.ID)
	}
}

func (c *exposureCount) result(within string) TypeExposure {
	c.Versions = []VersionStatus{}
	for _, s := range c.counts {
		c.Versions = append(c.Versions, *s)
	}
	order := []string{statusExposed, statusUnknown, statusFixed}
	slices.SortFunc(c.Versions, func(a, b VersionStatus) int {
		return cmp.Or(slices.Index(order, a.Status)-slices.Index(order, b.Status), b.Devices-a.Devices, strings.Compare(a.Version, b.Version))
	})
	c.Filter = fmt.Sprintf("type=%q and version<%s", c.DeviceType, c.FixedIn)
	if within != "" {
		c.Filter += " and (" + within + ")"
	}
	if canonical, err := filter.Parse(c.Filter); err == nil {
		c.Filter = canonical.String()
	}
	return c.TypeExposure
}
