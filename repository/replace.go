package repository

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
)

// ReplaceImage puts a file in the place of a published image that is damaged or
// gone, beside a server that runs. It is known by its hash: nobody can bring
// other bytes in that way. An image that is sound is left as it is. ErrNotFound:
// no release has it.
func (r *Repository) ReplaceImage(ctx context.Context, actor Actor, image io.ReadSeeker) (digest manifest.Digest, replaced bool, err error) {
	digest, replaced, err = r.replaceImage(ctx, actor, image)
	if err != nil {
		return digest, false, fmt.Errorf("replace image %s: %w", digest, advise(err))
	}
	return digest, replaced, nil
}

func (r *Repository) replaceImage(ctx context.Context, actor Actor, image io.ReadSeeker) (digest manifest.Digest, replaced bool, err error) {
	h := sha256.New()
	size, err := io.Copy(h, image)
	if err != nil {
		return digest, false, err
	}
	digest = manifest.Digest(h.Sum(nil))
	err = r.db.View(ctx, func(tx *store.Tx) error {
		_, err := imageSums(tx, digest)
		return err
	})
	if err != nil {
		return digest, false, err
	}
	_, was := r.blobs.Verify(ctx, digest)
	switch {
	case was == nil:
		return digest, false, nil
	case !errors.Is(was, blob.ErrDigest) && !errors.Is(was, blob.ErrSize) && !errors.Is(was, blob.ErrNotFound):
		return digest, false, explainBlob(was)
	}
	if _, err := image.Seek(0, io.SeekStart); err != nil {
		return digest, false, err
	}
	if _, err := r.blobs.Put(ctx, digest, size, image); err != nil {
		return digest, false, explainBlob(err)
	}
	entry := audit.Entry{
		Actor: actor.Name, Address: actor.Address, Action: "image.replace", Object: "image:" + digest.String(),
		Before: audit.JSON(map[string]string{"problem": was.Error()}),
	}
	return digest, true, r.db.Change(ctx, entry, func(*store.Tx) error { return nil })
}
