package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/periodic"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// Intervals of the work in the background.
const (
	refreshInterval = 500 * time.Millisecond // how soon another process's change is seen
	seenInterval    = 5 * time.Second        // how long a last-seen time waits to be written, and to be seen by other processes
	refusalInterval = time.Minute            // a record for each address and minute
)

// Limits of one device (docs/spec/device-protocol.md, section 8).
const (
	deviceRate  = 1 // requests a second
	deviceBurst = 30
)

// DefaultRetry is when a device asks again unless Config says otherwise.
const DefaultRetry = time.Hour

// A Config says what a Fleet works on.
type Config struct {
	Repository *repository.Repository // the devices stand in its database
	Masters    *auth.Masters
	Rollouts   Rollouts      // nil: every device is offered the newest release that it can take
	Retry      time.Duration // when a device asks again, whole seconds; 0: DefaultRetry
	Log        *slog.Logger  // nil: discarded
	Now        func() time.Time
}

// A Fleet is the devices of a server. It is safe for concurrent use.
type Fleet struct {
	cfg      Config
	db       *store.DB
	snapshot atomic.Pointer[Snapshot]
	refusals refusals
	stranger trust.DeviceKey // the key of every device that there is not

	table      *table
	changing   [1 << 10]sync.Mutex // by number of the device, held over a change, its commit included
	complaints complaints

	refreshed    atomic.Int64 // ms; see Refreshed
	refreshing   sync.Mutex
	revision     int64    // of the newest device row that was read
	seenRevision int64    // up to which all of the log of last-seen times is in memory
	synced       [2]int64 // what seenRevision was at the last two syncs, the older first
	seenLogSize  int64    // of the log in bytes, as far as it is known here

	loaded     chan struct{}   // closed once all devices are in the table
	background context.Context // ends with Close
	stop       context.CancelFunc
	done       sync.WaitGroup
}

// Open reads the fleet and starts the work in the background, which Close
// stops. A large fleet is still being read when Open returns: of it, what is
// asked for is read at once.
func Open(ctx context.Context, cfg Config) (*Fleet, error) {
	enough := time.After(openWait)
	f, err := begin(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	failed := make(chan error, 1)
	f.done.Go(func() { f.keepLoading(failed) })
	select {
	case <-f.loaded:
	case <-enough:
	case err := <-failed:
		f.stop()
		f.done.Wait()
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	f.done.Go(func() { periodic.Run(f.background, refreshInterval, f.cfg.Log, f.Refresh) })
	f.done.Go(func() { periodic.Run(f.background, seenInterval, f.cfg.Log, f.syncSeen) })
	f.done.Go(func() { periodic.Run(f.background, refusalInterval, f.cfg.Log, f.flushRefusals) })
	return f, nil
}

func (c Config) withDefaults() Config {
	if c.Retry == 0 {
		c.Retry = DefaultRetry
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Close stops the work in the background and writes what waits to be written.
func (f *Fleet) Close(ctx context.Context) error {
	f.stop()
	f.done.Wait()
	return errors.Join(f.flushSeen(ctx), f.mergeLog(ctx, longLog, math.MaxInt64), f.flushRefusals(ctx))
}

// Refresh makes what any process has committed visible here: at once, where it
// is called after a change, and otherwise within a second.
func (f *Fleet) Refresh(ctx context.Context) error {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	now := f.cfg.Now()
	if err := f.refreshDevices(ctx); err != nil {
		return err
	}
	if err := f.refreshSnapshot(ctx); err != nil {
		return err
	}
	f.refreshed.Store(now.UnixMilli())
	return nil
}

// Refreshed returns when what is in memory was last known to be what the
// database holds.
func (f *Fleet) Refreshed() time.Time { return time.UnixMilli(f.refreshed.Load()) }

func (f *Fleet) refreshDevices(ctx context.Context) error {
	now, err := f.db.Revision(ctx, topicDevices)
	if err != nil || now == f.revision {
		return err
	}
	err = f.db.View(ctx, func(tx *store.Tx) error {
		var strangers []*Device
		err := loadSince(tx, f.revision, func(d *Device) error {
			now = max(now, d.revision)
			if !f.table.knows(d) {
				strangers = append(strangers, d)
				return nil
			}
			return f.table.put(d)
		})
		if err != nil {
			return err
		}
		for _, d := range strangers {
			if err := f.meet(tx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read devices: %w", err)
	}
	f.revision = now
	return nil
}

// adopt makes a committed row the device in memory, unless that is newer.
func (f *Fleet) adopt(d *Device) {
	if err := f.table.put(d); err != nil {
		f.cfg.Log.Error("fleet: a device is not in memory", "device", d.Ref, "error", err)
	}
}

// find returns a device. While the fleet is being read, one that is not in
// memory yet is read at once.
func (f *Fleet) find(ref Ref) (d *Device, ok bool, err error) {
	d = &Device{}
	ok, err = f.findInto(d, ref)
	return d, ok, err
}

func (f *Fleet) findInto(d *Device, ref Ref) (ok bool, err error) {
	number, ok := f.table.find(ref)
	if !ok {
		if number, ok, err = f.fetch(ref); !ok {
			return false, err
		}
	}
	f.table.get(number, ref, d)
	return true, nil
}

// change changes a device in one transaction with its audit record, and then
// in memory. modify works on the row as it stands there: another process may
// have changed it.
func (f *Fleet) change(ctx context.Context, action string, by auth.Actor, ref Ref, modify func(*store.Tx, *Device) error) error {
	known, ok, err := f.find(ref)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNotFound
	}
	mu := &f.changing[known.number%uint32(len(f.changing))]
	mu.Lock()
	defer mu.Unlock()
	var changed *Device
	err = f.db.Change(ctx, by.Entry(action, "device:"+ref.String()), func(tx *store.Tx) error {
		d, err := load(tx, ref)
		if err != nil {
			return err
		}
		f.table.overlay(d)
		if err := modify(tx, d); err != nil {
			return err
		}
		changed = d
		return save(tx, d)
	})
	if err != nil {
		return err
	}
	if changed != nil {
		f.adopt(changed)
	}
	return nil
}

// Count returns how many devices there are.
func (f *Fleet) Count() int {
	f.awaitLoaded(listWait)
	return int(f.table.count.Load())
}

// Device returns a device with its last-seen time of now.
func (f *Fleet) Device(ref Ref) (Device, error) {
	d, ok, err := f.find(ref)
	switch {
	case err != nil:
		return Device{}, err
	case !ok:
		return Device{}, fmt.Errorf("device %s: %w", ref, ErrNotFound)
	}
	return *d, nil
}

// Devices returns up to limit devices of a type, of all types if it is empty,
// that come after a device in the order of type and id.
func (f *Fleet) Devices(deviceType string, after Ref, limit int) []Device {
	f.awaitLoaded(listWait)
	if deviceType != "" && after.DeviceType < deviceType {
		after = Ref{DeviceType: deviceType}
	}
	list := []Device{}
	if limit <= 0 {
		return list
	}
	for d := range f.table.after(after) {
		if deviceType != "" && d.DeviceType != deviceType {
			break
		}
		if list = append(list, *d); len(list) == limit {
			break
		}
	}
	return list
}

// Refused counts a refusal to somebody who did not authenticate, in a word or
// two.
func (f *Fleet) Refused(addr netip.Addr, what string) { f.refusals.count(addr, what) }

func (f *Fleet) flushRefusals(ctx context.Context) error {
	counts := f.refusals.take()
	if len(counts) == 0 {
		return nil
	}
	// A counter is evidence, not an effect: there is no change to go with it.
	err := f.db.ChangeUnaudited(ctx, func(tx *store.Tx) error { return counts.record(tx) })
	if err != nil {
		f.refusals.put(counts) // next time
		return fmt.Errorf("write counted refusals: %w", err)
	}
	return nil
}
