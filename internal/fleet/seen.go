package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/store"
)

// Last-seen times and nonces of checks are written behind, to a log: a row for
// all devices that were seen since the row before. Now and then the log is
// merged into pages, of which each device has its place (seen_page.go). A start
// reads both; a process that runs reads the rows that are new.

// topicSeen counts the rows of the log, those merged already included: so other
// processes learn that there is one, and find whether they missed one.
const topicSeen = "seen"

// maxSightings is how many devices stand in a row of the log at most. It bounds
// how long other writers wait.
const maxSightings = 1 << 16

// syncSeen writes what was seen here, reads what was seen elsewhere, and keeps
// the log short.
func (f *Fleet) syncSeen(ctx context.Context) error {
	if err := f.flushSeen(ctx); err != nil {
		return err
	}
	if err := f.refreshSeen(ctx); err != nil {
		return err
	}
	return f.mergeLongLog(ctx)
}

func (f *Fleet) flushSeen(ctx context.Context) error {
	var errs []error
	for batch := range slices.Chunk(f.table.takeUnwritten(), maxSightings) {
		if err := f.logSightings(ctx, batch); err != nil {
			f.table.stillUnwritten(batch) // next time
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write last-seen times: %w", err)
	}
	return nil
}

func (f *Fleet) logSightings(ctx context.Context, list []sighting) error {
	content, revision := appendSightings(nil, list), int64(0)
	err := f.db.ChangeUnaudited(ctx, func(tx *store.Tx) (err error) {
		if revision, err = touched(tx, topicSeen); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO seen_log (revision, content) VALUES ($1, $2)`, revision, content)
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range list {
		f.table.unmerged(s.number)
	}
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	if revision == f.seenRevision+1 { // else refreshSeen finds it with those between
		f.seenRevision = revision
		f.seenLogSize += logRowSize(content)
	}
	return nil
}

// readSeenLog reads the log before any device is known. What is in it waits in
// the table for the devices.
func (f *Fleet) readSeenLog(ctx context.Context) error {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	err := f.db.View(ctx, func(tx *store.Tx) (err error) {
		if f.seenRevision, err = tx.Revision(topicSeen); err != nil {
			return err
		}
		_, _, err = f.readLogSince(tx, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("read last-seen times: %w", err)
	}
	return nil
}

// refreshSeen reads what other processes wrote.
func (f *Fleet) refreshSeen(ctx context.Context) error {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	if !f.isLoaded() { // or what is newer than a device's row could come before it
		return nil
	}
	now, err := f.db.Revision(ctx, topicSeen)
	if err != nil || now == f.seenRevision {
		return err
	}
	whole, err := f.readSeen(ctx)
	if err == nil && !whole { // a device got new keys, which was committed before it was seen with them
		if err = f.refreshDevices(ctx); err == nil {
			whole, err = f.readSeen(ctx)
		}
	}
	if err == nil && !whole {
		err = fmt.Errorf("%w: a device was seen with keys that it does not have", store.ErrDamaged)
	}
	if err != nil {
		return fmt.Errorf("read last-seen times: %w", err)
	}
	return nil
}

// readSeen reads the rows of the log that are new, and the pages if some of
// those rows were merged already. It reports whether all of it found its place.
func (f *Fleet) readSeen(ctx context.Context) (whole bool, err error) {
	err = f.db.View(ctx, func(tx *store.Tx) error {
		now, err := tx.Revision(topicSeen)
		if err != nil {
			return err
		}
		var rows int64
		if rows, whole, err = f.readLogSince(tx, f.seenRevision); err != nil {
			return err
		}
		if rows != now-f.seenRevision {
			err = eachPage(tx, `WHERE revision > $1`, []any{f.seenRevision}, func(number uint32, page *seenPage) {
				whole = f.table.mergePage(number, page) && whole
			})
		}
		if err == nil && whole {
			f.seenRevision = now
		}
		return err
	})
	return whole, err
}

// readLogSince reads the rows of the log after a revision.
func (f *Fleet) readLogSince(tx *store.Tx, revision int64) (rows int64, whole bool, err error) {
	highest, err := tx.Revision(topicNumbers)
	if err != nil {
		return 0, false, err
	}
	whole = true
	err = tx.Each(`SELECT content FROM seen_log WHERE revision > $1`, []any{revision}, func(scan func(...any) error) error {
		var content sql.RawBytes
		if err := scan(&content); err != nil {
			return err
		}
		rows++
		f.seenLogSize += logRowSize(content)
		return eachSighting(content, func(s sighting) error {
			if int64(s.number) > highest { // no room is made for what cannot be
				return fmt.Errorf("%w: it names device number %d, of %d that were given", store.ErrDamaged, s.number, highest)
			}
			whole = f.table.mergeSighting(s) && whole
			f.table.unmerged(s.number)
			return nil
		})
	})
	return rows, whole, err
}
