package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/periodic"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// Intervals of the work in the background.
const (
	refreshInterval = 500 * time.Millisecond // how soon another process's change is seen
	flushInterval   = 5 * time.Second        // how long a last-seen time waits to be written
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
	Policy     Policy        // nil: Newest
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

	mu      sync.RWMutex
	devices map[Ref]*entry
	order   []Ref // see ordered

	refreshing sync.Mutex
	revision   int64 // of the newest device row that was read

	stop context.CancelFunc
	done sync.WaitGroup
}

// An entry is a device in memory.
type entry struct {
	changing sync.Mutex             // held over a change, its commit included
	device   atomic.Pointer[Device] // as committed; never changed, only replaced
	keys     atomic.Pointer[derived]
	limiter  *rate.Limiter
	complain *rate.Limiter // of audit records about an authenticated refusal

	seenMS    atomic.Int64
	unwritten atomic.Bool // seenMS is newer than the row
}

// derived are the keys of one generation of a device.
type derived struct {
	generation uint32
	keys       trust.DeviceKeys
}

// Open reads the fleet and starts the work in the background, which Close
// stops.
func Open(ctx context.Context, cfg Config) (*Fleet, error) {
	if cfg.Policy == nil {
		cfg.Policy = Newest
	}
	if cfg.Retry == 0 {
		cfg.Retry = DefaultRetry
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Fleet{cfg: cfg, db: cfg.Repository.Store(), devices: map[Ref]*entry{}, revision: -1, stranger: trust.DeviceKey(trust.NewFleetMaster())}
	f.snapshot.Store(&Snapshot{})
	if err := f.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	f.done.Go(func() { periodic.Run(background, refreshInterval, f.cfg.Log, f.Refresh) })
	f.done.Go(func() { periodic.Run(background, flushInterval, f.cfg.Log, f.flushSeen) })
	f.done.Go(func() { periodic.Run(background, refusalInterval, f.cfg.Log, f.flushRefusals) })
	return f, nil
}

// Close stops the work in the background and writes what waits to be written.
func (f *Fleet) Close(ctx context.Context) error {
	f.stop()
	f.done.Wait()
	return errors.Join(f.flushSeen(ctx), f.flushRefusals(ctx))
}

// Refresh makes what any process has committed visible here: at once, where it
// is called after a change, and otherwise within a second.
func (f *Fleet) Refresh(ctx context.Context) error {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	if err := f.refreshDevices(ctx); err != nil {
		return err
	}
	return f.refreshSnapshot(ctx)
}

func (f *Fleet) refreshDevices(ctx context.Context) error {
	now, err := f.db.Revision(ctx, topicDevices)
	if err != nil || now == f.revision {
		return err
	}
	err = f.db.View(ctx, func(tx *store.Tx) error {
		return loadSince(tx, f.revision, func(d *Device) {
			f.adopt(d)
			now = max(now, d.revision)
		})
	})
	if err != nil {
		return fmt.Errorf("read devices: %w", err)
	}
	f.revision = now
	return nil
}

// adopt makes a committed row the device in memory, unless that is newer.
func (f *Fleet) adopt(d *Device) {
	f.mu.Lock()
	e, ok := f.devices[d.Ref]
	if !ok {
		e = &entry{
			limiter:  rate.NewLimiter(deviceRate, deviceBurst),
			complain: rate.NewLimiter(rate.Every(refusalInterval), 1),
		}
		e.seenMS.Store(millis(d.LastSeen))
		f.devices[d.Ref] = e
	}
	f.mu.Unlock()
	for {
		old := e.device.Load()
		switch {
		case old != nil && old.revision >= d.revision:
			return
		case old != nil && old.Generation == d.Generation:
			d.checked = old.checked
		default: // its counter starts, or was enrolled again and starts again
			d.checked = &atomic.Uint64{}
		}
		if e.device.CompareAndSwap(old, d) {
			return
		}
	}
}

func (f *Fleet) find(ref Ref) (*entry, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	e, ok := f.devices[ref]
	return e, ok
}

// change changes a device in one transaction with its audit record, and then
// in memory. modify works on the row as it stands there: another process may
// have changed it.
func (f *Fleet) change(ctx context.Context, e *entry, action string, by auth.Actor, ref Ref, modify func(*store.Tx, *Device) error) error {
	e.changing.Lock()
	defer e.changing.Unlock()
	var changed *Device
	err := f.db.Change(ctx, by.Entry(action, "device:"+ref.String()), func(tx *store.Tx) error {
		d, err := load(tx, ref)
		if err != nil {
			return err
		}
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
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.devices)
}

// Device returns a device with its last-seen time of now.
func (f *Fleet) Device(ref Ref) (Device, error) {
	e, ok := f.find(ref)
	if !ok {
		return Device{}, fmt.Errorf("device %s: %w", ref, ErrNotFound)
	}
	return e.view(), nil
}

// Devices returns up to limit devices of a type, of all types if it is empty,
// that come after a device in the order of type and id.
func (f *Fleet) Devices(deviceType string, after Ref, limit int) []Device {
	if deviceType != "" && after.DeviceType < deviceType {
		after = Ref{DeviceType: deviceType}
	}
	refs := f.ordered()
	from, found := slices.BinarySearchFunc(refs, after, compareRefs)
	if found {
		from++
	}
	list := []Device{}
	for _, ref := range refs[from:] {
		if len(list) == limit || deviceType != "" && ref.DeviceType != deviceType {
			break
		}
		e, _ := f.find(ref) // devices are never removed
		list = append(list, e.view())
	}
	return list
}

// ordered returns all devices by type and id. The slice is never changed, only
// replaced: sorting for each page of a list would cost a large fleet seconds.
func (f *Fleet) ordered() []Ref {
	f.mu.RLock()
	refs := f.order
	if len(refs) == len(f.devices) { // devices are never removed
		f.mu.RUnlock()
		return refs
	}
	refs = slices.Collect(maps.Keys(f.devices))
	f.mu.RUnlock()
	slices.SortFunc(refs, compareRefs)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(refs) > len(f.order) {
		f.order = refs
	}
	return refs
}

func compareRefs(a, b Ref) int {
	if c := strings.Compare(a.DeviceType, b.DeviceType); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

func (e *entry) view() Device {
	d := *e.device.Load()
	if seen := timeOf(e.seenMS.Load()); seen.After(d.LastSeen) {
		d.LastSeen = seen
	}
	return d
}

// saw notes that a device was here. The time never goes back.
func (e *entry) saw(now time.Time) {
	ms := now.UnixMilli()
	for {
		old := e.seenMS.Load()
		if ms <= old {
			return
		}
		if e.seenMS.CompareAndSwap(old, ms) {
			e.unwritten.Store(true)
			return
		}
	}
}

// seenPage is how many last-seen times are written in one transaction.
const seenPage = 500

func (f *Fleet) flushSeen(ctx context.Context) error {
	f.mu.RLock()
	var page []Ref
	for ref, e := range f.devices {
		if e.unwritten.Swap(false) {
			page = append(page, ref)
		}
	}
	f.mu.RUnlock()
	var errs []error
	for refs := range slices.Chunk(page, seenPage) {
		errs = append(errs, f.writeSeen(ctx, refs))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write last-seen times: %w", err)
	}
	return nil
}

func (f *Fleet) writeSeen(ctx context.Context, refs []Ref) error {
	err := f.db.ChangeUnaudited(ctx, func(tx *store.Tx) error {
		for _, ref := range refs {
			e, _ := f.find(ref)
			d := e.device.Load()
			// The bits of a nonce, compared as what they are: a counter without sign.
			_, err := tx.Exec(`UPDATE devices SET seen_ms = CASE WHEN seen_ms < $1 THEN $1 ELSE seen_ms END,
				check_nonce = CASE WHEN generation = $2 AND ((check_nonce < $3) <> ((check_nonce < 0) <> ($3 < 0))) THEN $3 ELSE check_nonce END
				WHERE device_type = $4 AND id = $5`,
				e.seenMS.Load(), int64(d.Generation), int64(d.checked.Load()), ref.DeviceType, ref.ID)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // next time
		for _, ref := range refs {
			e, _ := f.find(ref)
			e.unwritten.Store(true)
		}
	}
	return err
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
