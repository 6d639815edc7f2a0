package repository

import (
	"errors"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
)

// images reads every image that the database knows.
func (c *check) images() error {
	c.seen = map[manifest.Digest]bool{}
	for digest, want := range c.stored {
		c.seen[digest] = true
		got, err := c.r.blobs.Verify(c.ctx, digest)
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if err == nil && got != want {
			err = errors.New("its size, SHA-1 or MD5 are not those that are stored")
		}
		if err != nil {
			c.problem("image "+digest.String(), err)
			continue
		}
		c.report.Images++
		c.report.ImageBytes += got.Size
	}
	return nil
}

// files looks at what lies about.
func (c *check) files() error {
	for item, err := range c.r.blobs.Items() {
		if err != nil {
			return err
		}
		switch item.Kind {
		case blob.KindBlob:
			if err := c.unnamed(item.Digest); err != nil {
				return err
			}
		case blob.KindUpload:
			c.leftover(item.Name, "part of an upload that is not complete")
		case blob.KindLeftover:
			c.leftover(item.Name, "a temporary file")
		case blob.KindForeign:
			c.report.Foreign = append(c.report.Foreign, Finding{item.Name, "does not belong here"})
		}
	}
	entries, err := fsatomic.OS().ReadDir(c.r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fsatomic.Leftover(e.Name()) {
			c.leftover(filepath.Join(c.r.dir, e.Name()), "a temporary file")
		}
	}
	return nil
}

// unnamed checks an image that no release named when the database was read.
// It must be whole all the same: whoever publishes it next will rely on it.
func (c *check) unnamed(digest manifest.Digest) error {
	if c.seen[digest] {
		return nil
	}
	_, err := c.r.blobs.Verify(c.ctx, digest)
	switch {
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case errors.Is(err, blob.ErrNotFound):
		return nil // removed since
	case err != nil:
		c.problem("image "+digest.String(), err)
	default:
		c.leftover("image "+digest.String(), "no release names it")
	}
	return nil
}

func (c *check) leftover(object, what string) {
	c.report.Leftovers = append(c.report.Leftovers, Finding{object, what})
}
