package console

import (
	"slices"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/manifest"
)

// releaseRow is a release and how many devices run it.
type releaseRow struct {
	api.Release
	Running int
}

func showReleases(v *visit) (*page, error) {
	releases, err := v.releases()
	if err != nil {
		return nil, err
	}
	c, err := takeCensus(v)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(releases, func(a, b api.Release) int { return b.PublishedAt.Compare(a.PublishedAt) })
	var rows []releaseRow
	for _, r := range releases {
		rows = append(rows, releaseRow{r, c.of(r.DeviceType).Versions[r.Version.String()]})
	}
	return &page{Title: "Releases", Section: "releases", Data: rows}, nil
}

func identityOf(v *visit) (manifest.Digest, error) {
	identity, err := manifest.ParseDigest(v.PathValue("identity"))
	if err != nil {
		return identity, api.ErrNotFound
	}
	return identity, nil
}

// releasePage is a release and where it runs.
type releasePage struct {
	api.Release
	Devices int // of its type
	Running int
	Share   bar
}

func showRelease(v *visit) (*page, error) {
	identity, err := identityOf(v)
	if err != nil {
		return nil, err
	}
	r, err := v.Release(v.ctx(), identity)
	if err != nil {
		return nil, err
	}
	c, err := takeCensus(v)
	if err != nil {
		return nil, err
	}
	t := c.of(r.DeviceType)
	p := &releasePage{Release: r, Devices: t.Devices, Running: t.Versions[r.Version.String()]}
	p.Share.add(segment{Name: "run it", Class: shade(0), Devices: p.Running}, p.Devices)
	p.Share.add(segment{Name: "run something else", Class: "older", Devices: p.Devices - p.Running}, p.Devices)
	return &page{Title: r.DeviceType + " " + r.Version.String(), Section: "releases", Data: p}, nil
}

func releaseURL(r api.Release) string { return "/releases/" + r.Identity.String() }

func withdrawRelease(v *visit) (string, error) {
	identity, err := identityOf(v)
	if err != nil {
		return "", err
	}
	return "/releases/" + identity.String() + "?done=withdrawn", v.WithdrawRelease(v.ctx(), identity, v.field("why"))
}
