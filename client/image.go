package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/agent/bootloader"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
)

// runningImage is what was booted: the digest is read back from its slot, and
// is the evidence of checks and reports.
type runningImage struct {
	slot   int
	entry  rollback.Entry // zero: nothing was installed here
	digest manifest.Digest
}

// bootState asks the boot loader. One that was never told, or forgot, is told
// the active slot.
func (c *Client) bootState(ctx context.Context) (BootState, error) {
	b, err := c.loader.Status(ctx)
	if errors.Is(err, bootloader.ErrNoRecord) && c.lost == nil {
		if err := c.loader.Set(ctx, c.state.Active); err != nil {
			return b, storage(err)
		}
		b, err = c.loader.Status(ctx)
	}
	if err != nil {
		return b, storage(err)
	}
	return b, nil
}

// runningImage reads the running slot back, once per boot: it does not change
// while it runs.
func (c *Client) runningImage(ctx context.Context) (runningImage, error) {
	if c.image != nil {
		return *c.image, nil
	}
	b, err := c.bootState(ctx)
	if err != nil {
		return runningImage{}, err
	}
	image := runningImage{slot: b.Running, entry: c.entryOf(b.Running)}
	image.digest, err = c.digestOf(image.slot, image.entry)
	if err != nil && image.slot == c.state.Active {
		return image, nil // nobody knows its digest: zero. That must not keep an update from replacing it.
	}
	if err != nil {
		return image, fmt.Errorf("running image: %w", err)
	}
	c.image = &image
	return image, nil
}

// entryOf returns what was installed into a slot, zero for nothing.
func (c *Client) entryOf(slot int) rollback.Entry {
	switch {
	case slot == c.state.Active:
		return c.state.Rollback.Installed
	case c.state.Update.Phase != Idle:
		return c.state.Update.Entry
	}
	return c.state.Retained
}

// digestOf hashes a slot: as many bytes as were installed, or all there are. An
// empty place has the zero digest.
func (c *Client) digestOf(slot int, entry rollback.Entry) (manifest.Digest, error) {
	s, err := c.ops.OpenSlot(slot, false)
	if missing(err) {
		return manifest.Digest{}, nil
	}
	if err != nil {
		return manifest.Digest{}, storage(err)
	}
	defer s.Close()
	size := int64(entry.ImageSize)
	have, err := s.Size()
	if err != nil {
		return manifest.Digest{}, storage(err)
	}
	if size == 0 || size > have {
		size = have // what is there tells better than an error what is wrong
	}
	digest, err := hashSlot(s, size)
	return digest, storage(err)
}
