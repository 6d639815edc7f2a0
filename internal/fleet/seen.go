package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/store"
)

// topicSeen is what every write of pages touches, so that other processes learn
// of it, and one waits for another.
const topicSeen = "seen"

// seenBatch is how many pages are written in one transaction. Other writers
// wait for it.
const seenBatch = 128

// syncSeen writes the pages that changed here, and reads those that changed
// elsewhere.
func (f *Fleet) syncSeen(ctx context.Context) error {
	if err := f.flushSeen(ctx); err != nil {
		return err
	}
	return f.refreshSeen(ctx)
}

func (f *Fleet) flushSeen(ctx context.Context) error {
	var errs []error
	for batch := range slices.Chunk(f.table.takeUnwritten(), seenBatch) {
		if err := f.writeSeen(ctx, batch); err != nil {
			f.table.stillUnwritten(batch) // next time
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write last-seen times: %w", err)
	}
	return nil
}

// writeSeen merges pages into those that are stored: another process may have
// seen the same devices later.
func (f *Fleet) writeSeen(ctx context.Context, numbers []uint32) error {
	known, loaded := f.knownSeen(), f.isLoaded()
	merged, revision := make([]seenPage, len(numbers)), int64(0)
	err := f.db.ChangeUnaudited(ctx, func(tx *store.Tx) (err error) {
		// First of all: who touches the topic has it to himself until he commits.
		if revision, err = touched(tx, topicSeen); err != nil {
			return err
		}
		alone := loaded && revision == known+1 // all that is stored is in memory
		for i, number := range numbers {
			f.table.page(number, &merged[i])
			if err := writePage(tx, number, &merged[i], revision, alone); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, number := range numbers {
		f.table.mergePage(number, &merged[i])
	}
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	if revision == f.seenRevision+1 {
		f.seenRevision = revision
	}
	return nil
}

func writePage(tx *store.Tx, number uint32, page *seenPage, revision int64, alone bool) error {
	if !alone {
		stored, err := loadPage(tx, number)
		if err != nil {
			return err
		}
		page.merge(stored)
	}
	_, err := tx.Exec(`INSERT INTO seen_pages (page, content, revision) VALUES ($1, $2, $3)
		ON CONFLICT (page) DO UPDATE SET content = excluded.content, revision = excluded.revision`,
		int64(number), page.append(make([]byte, 0, 1+pageRows*seenEntrySize)), revision)
	return err
}

// knownSeen returns the revision up to which every stored page is in memory.
func (f *Fleet) knownSeen() int64 {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	return f.seenRevision
}

// refreshSeen reads what other processes wrote.
func (f *Fleet) refreshSeen(ctx context.Context) error {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	if !f.isLoaded() { // or a page could come between a device's page and its row
		return nil
	}
	now, err := f.db.Revision(ctx, topicSeen)
	if err != nil || now == f.seenRevision {
		return err
	}
	whole := true
	err = f.db.View(ctx, func(tx *store.Tx) error {
		return eachPage(tx, `WHERE revision > $1`, []any{f.seenRevision}, func(number uint32, page *seenPage) {
			whole = f.table.mergePage(number, page) && whole
		})
	})
	if err != nil {
		return fmt.Errorf("read last-seen times: %w", err)
	}
	if whole { // otherwise once more, when the devices are known
		f.seenRevision = now
	}
	return nil
}

// loadPage reads a page, an empty one if it is not stored.
func loadPage(tx *store.Tx, number uint32) (*seenPage, error) {
	var raw []byte
	page := &seenPage{}
	err := tx.Get(`SELECT content FROM seen_pages WHERE page = $1`, []any{int64(number)}, &raw)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return page, nil
	case err != nil:
		return nil, err
	}
	return page, page.decode(raw)
}

// loadPages reads the pages from from to below to.
func loadPages(tx *store.Tx, from, to uint32, f func(number uint32, page *seenPage)) error {
	return eachPage(tx, `WHERE page >= $1 AND page < $2`, []any{int64(from), int64(to)}, f)
}

func eachPage(tx *store.Tx, where string, args []any, f func(number uint32, page *seenPage)) error {
	return tx.Each(`SELECT page, content FROM seen_pages `+where, args, func(scan func(...any) error) error {
		var number int64
		var raw []byte
		page := &seenPage{}
		if err := scan(&number, &raw); err != nil {
			return err
		}
		if err := page.decode(raw); err != nil {
			return err
		}
		f(uint32(number), page)
		return nil
	})
}
