package fleet

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/trust"
)

// Reading the fleet when a server starts.
const (
	openWait  = 500 * time.Millisecond // how long Open waits for it,
	listWait  = 20 * time.Second       // and those who count or list devices
	loadAgain = time.Second            // after storage failed
	fetchTime = 5 * time.Second        // for one device that somebody waits for
	loaders   = 4                      // at most so many parts are read at a time
)

// begin returns a fleet without devices. It notes where this process starts to
// follow changes, and reads what is published and the log of last-seen times.
// Their pages and the devices are read behind it: what changes meanwhile is seen
// twice, and the newer counts.
func begin(ctx context.Context, cfg Config) (f *Fleet, err error) {
	f = &Fleet{
		cfg: cfg.withDefaults(), db: cfg.Repository.Store(), table: newTable(), loaded: make(chan struct{}),
		stranger: trust.DeviceKey(trust.NewFleetMaster()),
	}
	f.snapshot.Store(&Snapshot{})
	if err := f.checkMasters(ctx); err != nil {
		return nil, err
	}
	if f.revision, err = f.db.Revision(ctx, topicDevices); err != nil {
		return nil, err
	}
	if err := f.readSeenLog(ctx); err != nil {
		return nil, err
	}
	now := f.cfg.Now()
	if err := f.refreshSnapshot(ctx); err != nil {
		return nil, err
	}
	f.refreshed.Store(now.UnixMilli())
	f.background, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	return f, nil
}

// keepLoading reads the fleet, and tries again until it is read or Close ends
// it. failed has room for one failure, and gets the first.
func (f *Fleet) keepLoading(failed chan<- error) {
	for {
		err := f.load(f.background)
		if err == nil {
			close(f.loaded)
			if f.table.count.Load() > slabRows {
				f.db.Rest()
				debug.FreeOSMemory() // what the reading of a large fleet left behind would stay for minutes
			}
			return
		}
		select {
		case failed <- err:
		default:
		}
		select {
		case <-f.background.Done():
			return
		case <-time.After(loadAgain):
			f.cfg.Log.Error("fleet: devices not read, and are tried again", "error", err)
		}
	}
}

func (f *Fleet) isLoaded() bool {
	select {
	case <-f.loaded:
		return true
	default:
		return false
	}
}

// load reads all devices, a slab of them in each transaction.
func (f *Fleet) load(ctx context.Context) error {
	highest, err := f.db.Revision(ctx, topicNumbers)
	if err != nil {
		return err
	}
	if highest > maxNumber {
		return fmt.Errorf("read devices: %d numbers were given to devices, at most %d can be", highest, maxNumber)
	}
	f.table.expect(int(highest))
	var next atomic.Int64
	failed := make(chan error)
	workers := min(loaders, runtime.GOMAXPROCS(0))
	for range workers {
		go func() {
			var err error
			for err == nil {
				from := (next.Add(1) - 1) * slabRows
				if from > highest {
					break
				}
				err = f.loadSlab(ctx, uint32(from))
			}
			failed <- err
		}()
	}
	var errs []error
	for range workers {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}

func (f *Fleet) loadSlab(ctx context.Context, from uint32) error {
	err := f.db.View(ctx, func(tx *store.Tx) error {
		// Pages first: before a device is found, its nonce has to be there.
		pages := map[uint32]*seenPage{}
		err := loadPages(tx, pageOf(from), pageOf(from+slabRows), func(number uint32, p *seenPage) { pages[number] = p })
		if err != nil {
			return err
		}
		return loadRange(tx, from, from+slabRows, func(d *Device) error {
			if p, ok := pages[pageOf(d.number)]; ok {
				p[d.number%pageRows].overlay(d)
			}
			return f.table.put(d)
		})
	})
	if err != nil {
		return fmt.Errorf("read devices: %w", err)
	}
	return nil
}

// fetch reads one device while the others are being read.
func (f *Fleet) fetch(ref Ref) (number uint32, ok bool, err error) {
	if f.isLoaded() {
		return 0, false, nil
	}
	ctx, cancel := context.WithTimeout(f.background, fetchTime)
	defer cancel()
	err = f.db.View(ctx, func(tx *store.Tx) error {
		d, err := load(tx, ref)
		if err != nil {
			return err
		}
		return f.meet(tx, d)
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("device %s: %w: %v", ref, ErrStorage, err)
	}
	number, ok = f.table.find(ref)
	return number, ok, nil
}

// meet takes a device that is not in memory into it.
func (f *Fleet) meet(tx *store.Tx, d *Device) error {
	page, err := loadPage(tx, pageOf(d.number))
	if err != nil {
		return err
	}
	page[d.number%pageRows].overlay(d)
	return f.table.put(d)
}

// awaitLoaded waits until all devices are in memory, but not for ever.
func (f *Fleet) awaitLoaded(most time.Duration) {
	if f.isLoaded() { // without the cost of a timer
		return
	}
	select {
	case <-f.loaded:
	case <-f.background.Done():
	case <-time.After(most):
	}
}
