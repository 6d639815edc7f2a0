package repository

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/store"
)

// RepairAge is how long leftovers should be left alone at least: a publication
// that takes longer would find its image removed, and would have to begin
// again.
const RepairAge = 24 * time.Hour

// Repair removes the leftovers that nobody touched for so long: images that no
// release names, uploads and temporary files. What else Fsck finds wants a
// person, and is left as it is. It returns how many files it removed.
func (r *Repository) Repair(ctx context.Context, actor Actor, age time.Duration) (removed int, err error) {
	since := r.now().Add(-age)
	expired, err := r.blobs.Expire(since)
	if err == nil {
		removed, err = r.removeUnnamed(ctx, actor, since)
	}
	if err == nil {
		var temporary int
		temporary, err = r.removeTemporary(since)
		removed += temporary
	}
	if err != nil {
		return expired + removed, fmt.Errorf("repair repository %s: %w", r.dir, err)
	}
	return expired + removed, nil
}

// removeUnnamed removes images without a release, each in a transaction of its
// own: while it holds the write lock nobody can publish what it removes.
func (r *Repository) removeUnnamed(ctx context.Context, actor Actor, since time.Time) (removed int, err error) {
	for item, err := range r.blobs.Items() {
		if err != nil {
			return removed, err
		}
		if item.Kind != blob.KindBlob || !item.ModTime.Before(since) {
			continue
		}
		entry := audit.Entry{Actor: actor.Name, Address: actor.Address, Action: "image.remove", Object: "image:" + item.Digest.String()}
		err = r.db.Change(ctx, entry, func(tx *store.Tx) error {
			_, err := imageSums(tx, item.Digest)
			if err == nil {
				return store.NoChange
			}
			if !errors.Is(err, ErrNotFound) {
				return err
			}
			err = r.blobs.Remove(item.Digest)
			if errors.Is(err, blob.ErrNotFound) {
				return store.NoChange
			}
			if err == nil {
				removed++
			}
			return err
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (r *Repository) removeTemporary(since time.Time) (removed int, err error) {
	fsys := fsatomic.OS()
	entries, err := fsys.ReadDir(r.dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !fsatomic.Leftover(e.Name()) || !info.ModTime().Before(since) {
			continue
		}
		if err := fsys.Remove(filepath.Join(r.dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
