package fleet

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/store"
)

const (
	// longLog is the size in bytes of a log that is merged at the end of a
	// process, and that is let be in any case while it runs.
	longLog = 256 << 10
	// logShare is which part of the size of all pages the log may have. A merge
	// writes most pages, so a longer log is merged less often, and read longer
	// when a server starts: a million devices have 18 MB of pages.
	logShare = 2
	// seenBatch is how many pages, or rows of the log, are written in one
	// transaction. Other writers wait for it.
	seenBatch = 128
)

// logRowSize is what a row of the log takes in the database, or a little more.
func logRowSize(content []byte) int64 { return int64(len(content)) + 32 }

// mergeLongLog merges the log into the pages if it has become long. What was
// written since the sync before the last stays: other processes, which sync as
// often, may not have read it yet, and who misses a row reads all pages.
func (f *Fleet) mergeLongLog(ctx context.Context) error {
	f.refreshing.Lock()
	settled := f.synced[0]
	f.synced = [2]int64{f.synced[1], f.seenRevision}
	f.refreshing.Unlock()
	pages := len(*f.table.slabs.Load()) * slabPages
	return f.mergeLog(ctx, max(longLog, int64(pages)*(1+pageRows*seenEntrySize)/logShare), settled)
}

// mergeLog merges a log of more than size bytes into the pages, and removes its
// rows up to a revision.
func (f *Fleet) mergeLog(ctx context.Context, size, settled int64) error {
	known, ok, err := f.longerThan(ctx, size)
	if err == nil && ok {
		err = f.writePages(ctx, f.table.takeUnmerged(), known)
	}
	if err == nil && ok {
		err = f.cutLog(ctx, min(settled, known))
	}
	if err != nil {
		return fmt.Errorf("merge last-seen times: %w", err)
	}
	return nil
}

// longerThan reports whether the log takes more than size bytes, and up to
// which revision it is known here. Another process may have merged what was
// counted here: then it is counted anew.
func (f *Fleet) longerThan(ctx context.Context, size int64) (known int64, longer bool, err error) {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	if !f.isLoaded() || f.seenLogSize <= size {
		return 0, false, nil
	}
	err = f.db.View(ctx, func(tx *store.Tx) error {
		return tx.Get(`SELECT COALESCE(SUM(LENGTH(content) + 32), 0) FROM seen_log`, nil, &f.seenLogSize)
	})
	return f.seenRevision, f.seenLogSize > size, err
}

// writePages writes pages as they are in memory, where all of the log up to a
// revision is.
func (f *Fleet) writePages(ctx context.Context, numbers []uint32, revision int64) error {
	for len(numbers) > 0 {
		batch := numbers[:min(seenBatch, len(numbers))]
		err := f.db.ChangeUnaudited(ctx, func(tx *store.Tx) error {
			for _, number := range batch {
				if err := f.writePage(tx, number, revision); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			f.table.stillUnmerged(numbers) // next time
			return err
		}
		numbers = numbers[len(batch):]
	}
	return nil
}

// writePage writes a page, merged with the one that is stored: another process
// may have merged what is not known here.
func (f *Fleet) writePage(tx *store.Tx, number uint32, revision int64) error {
	page, err := loadPage(tx, number)
	if err != nil {
		return err
	}
	var known seenPage
	f.table.page(number, &known)
	page.merge(&known)
	_, err = tx.Exec(`INSERT INTO seen_pages (page, content, revision) VALUES ($1, $2, $3)
		ON CONFLICT (page) DO UPDATE SET content = excluded.content,
			revision = CASE WHEN excluded.revision > seen_pages.revision THEN excluded.revision ELSE seen_pages.revision END`,
		int64(number), page.append(make([]byte, 0, 1+pageRows*seenEntrySize)), revision)
	return err
}

// cutLog removes the rows up to a revision, which are in the pages by now, the
// oldest first.
func (f *Fleet) cutLog(ctx context.Context, revision int64) error {
	for rows := int64(seenBatch); rows == seenBatch; {
		err := f.db.ChangeUnaudited(ctx, func(tx *store.Tx) (err error) {
			rows, err = tx.Exec(`DELETE FROM seen_log WHERE revision IN
				(SELECT revision FROM seen_log WHERE revision <= $1 ORDER BY revision LIMIT $2)`, revision, int64(seenBatch))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
