package client

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// A Release is one that may be installed here: the server's answer named it, and
// the release threshold of the held keyset signed it. Only FetchManifest makes
// one; the zero value permits nothing.
type Release struct {
	manifest trust.VerifiedManifest
	retry    bool // an authenticated answer asks to try a rejected image again
}

// Manifest returns what the release says, nil for the zero Release.
func (r Release) Manifest() *manifest.Manifest { return r.manifest.Manifest() }

// Hash returns the hash of the signed manifest.
func (r Release) Hash() manifest.Digest { return r.manifest.Hash() }

// FetchManifest fetches the manifest that an answer names, by its hash, and
// verifies it under the held keyset. Whether this device may install it is
// Release's next question, to InstallFirmware.
func (c *Client) FetchManifest(ctx context.Context, a Answer) (Release, error) {
	if !a.Offers() {
		return Release{}, fmt.Errorf("fetch manifest: %w: no answer names one", trust.ErrNotNamed)
	}
	want := a.response
	raw, err := c.get(ctx, "/v1/manifest/"+want.ManifestHash.String(), trust.MaxManifest)
	if err != nil {
		return Release{}, fmt.Errorf("fetch manifest: %w", err)
	}
	if len(raw) != int(want.ManifestSize) || sha256.Sum256(raw) != want.ManifestHash {
		return Release{}, fmt.Errorf("manifest %s: %w: %d bytes that hash to %x", want.ManifestHash, trust.ErrNotNamed, len(raw), sha256.Sum256(raw))
	}
	m, err := c.VerifyFirmwareSignature(raw)
	return Release{manifest: m, retry: want.RetryRejected}, err
}

// VerifyFirmwareSignature verifies a signed manifest under the held keyset. It
// says that the vendor made this release for this device type, and not that it
// may be installed: only what Check named may (FetchManifest).
func (c *Client) VerifyFirmwareSignature(signed []byte) (trust.VerifiedManifest, error) {
	return c.keyset.VerifyManifest(signed, c.keys)
}

// allowed applies the rules of package rollback.
func (c *Client) allowed(r Release, slotSize int64) error {
	return c.state.Rollback.Check(r.Manifest(), rollback.Device{
		HardwareRevision: c.id.hardware, Component: c.id.component, SlotSize: slotSize,
		KeysetFloor: c.keyset.Keyset().SecurityFloor, Now: c.ops.Now(), RetryRejected: r.retry,
	})
}
