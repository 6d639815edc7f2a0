package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/secure-ota/secure-ota/manifest"
)

// AddSBOM implements Management.
func (c *Client) AddSBOM(ctx context.Context, raw []byte) (SBOM, error) {
	return post[SBOM](ctx, c, "/api/v1/sboms", typeJSON, raw)
}

// ReleaseSBOM implements Management.
func (c *Client) ReleaseSBOM(ctx context.Context, identity manifest.Digest, name string) (raw []byte, err error) {
	path := "/api/v1/releases/" + identity.String() + "/sbom"
	if name != "" {
		path += "?" + url.Values{"name": {name}}.Encode()
	}
	return raw, c.fetch(ctx, path, &raw)
}

// Exposure implements Management.
func (c *Client) Exposure(ctx context.Context, q ExposureQuery) (Exposure, error) {
	return get[Exposure](ctx, c, "/api/v1/fleet/exposure", query("cve", q.CVE, "device_type", q.DeviceType, "filter", q.Filter))
}

// fetch is call of which bytes come back as they are.
func (c *Client) fetch(ctx context.Context, path string, raw *[]byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return err
	}
	*raw, err = c.send(req)
	return err
}
