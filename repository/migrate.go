package repository

import (
	"context"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
)

// Refusals of a migration, for errors.Is.
var (
	ErrNotEmpty   = store.ErrNotEmpty   // the target holds something
	ErrIncomplete = store.ErrIncomplete // a migration into this repository was not ended
	ErrMoved      = store.ErrMoved      // the source has changed since the migration was begun
	ErrUnsound    = errors.New("what was copied is not sound")
)

// A Migration moves everything from one place to another, of the same kind or
// of another one: images, rows, the audit log with its chain. Secrets are files
// beside it and stay where they are.
type Migration struct {
	From, To Config
	Actor    Actor
	// Progress is told how much of something is copied, in its own measure.
	// Nil: nobody.
	Progress func(what string, done, total int64)
}

// Migrate copies, holds what came of it against Fsck, and only then makes the
// target usable, with a record in its audit log. The source is only read; who
// wants to write to it waits, or is told that it is busy. A migration that was
// broken off goes on where it stood.
func Migrate(ctx context.Context, m Migration) (Report, error) {
	report, err := m.run(ctx)
	if err != nil {
		return report, fmt.Errorf("migrate: %w", advise(err))
	}
	return report, nil
}

func (m Migration) run(ctx context.Context) (Report, error) {
	from, err := openAnyway(ctx, m.From)
	if err != nil {
		return Report{}, fmt.Errorf("source: %w", err)
	}
	defer from.Close()
	if err := from.db.Copying(ctx); err != nil {
		return Report{}, fmt.Errorf("source: %w", err)
	}
	to, err := openAnyway(ctx, m.To)
	if err != nil {
		return Report{}, fmt.Errorf("target: %w", err)
	}
	defer to.Close()
	c := store.Copy{From: from.db, To: to.db, Progress: m.Progress, Before: func(tx *store.Tx) error { return m.images(ctx, tx, from, to) }}
	if err := c.Run(ctx); err != nil {
		return Report{}, err
	}
	m.progress("check", 0, 1)
	report, err := to.Fsck(ctx)
	if err != nil {
		return report, err
	}
	if !report.Sound() {
		return report, fmt.Errorf("%w: %s, and %d more", ErrUnsound, report.Problems[0], len(report.Problems)-1)
	}
	m.progress("check", 1, 1)
	type places struct {
		Database string `json:"database"`
		Images   string `json:"images"`
	}
	return report, c.Finish(ctx, audit.Entry{
		Actor: m.Actor.Name, Address: m.Actor.Address, Action: "storage.migrate", Object: "repository",
		Before: audit.JSON(places{from.db.Location(), from.images}), After: audit.JSON(places{to.db.Location(), to.images}),
	})
}

func (m Migration) progress(what string, done, total int64) {
	if m.Progress != nil {
		m.Progress(what, done, total)
	}
}

// images copies the images that the database names, so that no row will point
// at one that is not there. What the target has already, whole, is not copied
// again.
func (m Migration) images(ctx context.Context, tx *store.Tx, from, to *Repository) error {
	type image struct {
		digest manifest.Digest
		size   int64
	}
	var all []image
	var total, done int64
	err := tx.Each(`SELECT digest, size FROM blobs ORDER BY digest`, nil, func(scan func(...any) error) error {
		var digest []byte
		var i image
		err := scan(&digest, &i.size)
		copy(i.digest[:], digest)
		all, total = append(all, i), total+i.size
		return err
	})
	if err != nil {
		return err
	}
	for _, i := range all {
		m.progress("images", done, total)
		if err := copyImage(ctx, from, to, i.digest, i.size); err != nil {
			return fmt.Errorf("copy image: %w", err)
		}
		done += i.size
	}
	m.progress("images", total, total)
	return nil
}

func copyImage(ctx context.Context, from, to *Repository, digest manifest.Digest, size int64) error {
	stored, err := to.blobs.Stat(digest)
	if err == nil && stored == size { // Fsck will read it
		return nil
	}
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	f, _, err := from.blobs.Open(digest)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = to.blobs.Put(ctx, digest, size, f)
	return err
}
