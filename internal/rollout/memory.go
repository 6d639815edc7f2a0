package rollout

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/store"
)

// memory is what a check looks at: the types' settings and the rollouts that
// decide, at one moment. It is never changed, only replaced; what changes with
// every offer stands behind the rollouts' gauges.
type memory struct {
	offers map[string]Offer     // of the types whose settings are not the defaults
	types  map[string][]*active // by device type, the last started first
	byID   map[string]*active
}

// active is a rollout that decides for its target.
type active struct {
	*row
	target  *filter.Filter
	groups  []*filter.Filter // by stage; nil: the stage is none
	filters bool             // there is a filter among these
	gauge   *gauge
}

func newActive(r *row, g *gauge) (*active, error) {
	a := &active{row: r, gauge: g, groups: make([]*filter.Filter, len(r.spec.Stages))}
	var err error
	if a.target, err = parseFilter(r.spec.Filter); err != nil {
		return nil, fmt.Errorf("rollout %s: %w", r.spec.Name, err)
	}
	a.filters = !a.target.IsZero()
	for i, stage := range r.spec.Stages {
		if stage.Filter == "" {
			continue
		}
		a.filters = true
		if a.groups[i], err = parseFilter(stage.Filter); err != nil {
			return nil, fmt.Errorf("rollout %s: stage %d: %w", r.spec.Name, i+1, err)
		}
	}
	return a, nil
}

// A gauge is the part of a rollout in memory that changes with every offer and
// report. It may lag behind what another server has committed by a refresh:
// then the transaction of an offer finds out.
type gauge struct {
	counters atomic.Pointer[counters]

	mu       sync.RWMutex
	revision int64               // of counters
	marks    map[uint64]mark     // touched devices that have not proved themselves, by position
	strange  map[uint64]struct{} // devices with the release that the rollout did not touch: they are not sent back
}

// A mark is where a touched device stands.
type mark struct {
	state    DeviceState
	excused  bool
	revision int64
	since    int64 // the revision of its first mark
}

func newGauge() *gauge {
	g := &gauge{revision: -1, marks: map[uint64]mark{}, strange: map[uint64]struct{}{}}
	g.counters.Store(&counters{})
	return g
}

// moment returns the counters and the revision that they are of.
func (g *gauge) moment() (counters, int64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return *g.counters.Load(), g.revision
}

// mark returns where a device stands. The zero mark is of one that the rollout
// did not touch, or that has proved itself.
func (g *gauge) mark(position uint64) mark {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.marks[position]
}

func (g *gauge) isStrange(position uint64) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, ok := g.strange[position]
	return ok
}

func (g *gauge) estrange(position uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strange[position] = struct{}{}
}

// count takes the counters of a committed row.
func (g *gauge) count(r *row) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.revision > g.revision {
		c := r.counters
		g.revision = r.revision
		g.counters.Store(&c)
	}
}

// note takes a committed device.
func (g *gauge) note(t *touched) {
	p := position(t.rollout, t.ref)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch old := g.marks[p]; {
	case old.revision > t.revision:
	case t.state == Confirmed:
		delete(g.marks, p)
	case old.state == "":
		g.marks[p] = mark{t.state, t.excused, t.revision, t.revision}
	default:
		g.marks[p] = mark{t.state, t.excused, t.revision, old.since}
	}
}

// Refresh makes what any server has committed visible here: at once, where it
// is called after a change, and otherwise within a second.
func (e *Engine) Refresh(ctx context.Context) error {
	e.refreshing.Lock()
	defer e.refreshing.Unlock()
	now, err := e.db.Revision(ctx, topic)
	if err != nil || now == e.revision {
		return err
	}
	var rows []*row
	var devices []*touched
	offers := map[string]Offer{}
	err = e.db.View(ctx, func(tx *store.Tx) (err error) {
		if now, err = tx.Revision(topic); err != nil {
			return err
		}
		if offers, err = readOffers(tx); err != nil {
			return err
		}
		if rows, err = readRows(tx, `WHERE revision > $1`, e.revision); err != nil {
			return err
		}
		if e.revision < 0 { // of the first reading, most have proved themselves
			devices, err = readTouched(tx, `WHERE state <> 'confirmed'`)
		} else {
			devices, err = readTouched(tx, `WHERE revision > $1`, e.revision)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read rollouts: %w", err)
	}
	known := e.memory.Load()
	known.note(devices, nil) // before the counters: a census knows who was marked after them
	if err := e.adopt(offers, rows); err != nil {
		return err
	}
	e.memory.Load().note(devices, known)
	e.revision = now
	return nil
}

// note takes committed devices into the rollouts that are in memory, but not in
// what was there before.
func (m *memory) note(devices []*touched, before *memory) {
	for _, t := range devices {
		a, ok := m.byID[t.rollout]
		if ok && before != nil {
			_, noted := before.byID[t.rollout]
			ok = !noted
		}
		if ok {
			a.gauge.note(t)
		}
	}
}

func readOffers(tx *store.Tx) (map[string]Offer, error) {
	offers := map[string]Offer{}
	err := tx.Each(`SELECT device_type, offer FROM device_types`, nil, func(scan func(...any) error) error {
		var deviceType, offer string
		err := scan(&deviceType, &offer)
		offers[deviceType] = Offer(offer)
		return err
	})
	return offers, err
}

// adopt makes committed rows those in memory, unless these are newer. nil
// offers are those that are known.
func (e *Engine) adopt(offers map[string]Offer, rows []*row) error {
	e.adopting.Lock()
	defer e.adopting.Unlock()
	old := e.memory.Load()
	if offers == nil {
		offers = old.offers
	}
	next := &memory{offers: offers, types: map[string][]*active{}, byID: maps.Clone(old.byID)}
	for _, r := range rows {
		if err := next.take(r); err != nil {
			return err
		}
	}
	for _, a := range next.byID {
		next.types[a.spec.DeviceType] = append(next.types[a.spec.DeviceType], a)
	}
	for _, list := range next.types {
		slices.SortFunc(list, func(a, b *active) int { return cmp.Compare(b.startOrder, a.startOrder) })
	}
	e.memory.Store(next)
	return nil
}

func (m *memory) take(r *row) error {
	known, ok := m.byID[r.id]
	if ok && known.row.revision >= r.revision {
		return nil
	}
	if !r.state.decides() {
		delete(m.byID, r.id)
		return nil
	}
	g := newGauge()
	if ok {
		g = known.gauge
	}
	a, err := newActive(r, g)
	if err != nil {
		return err
	}
	g.count(r)
	m.byID[r.id] = a
	return nil
}

// settled returns what takes committed rows and devices into memory.
func (e *Engine) settled(rows []*row, devices []*touched) func() {
	return func() {
		known := e.memory.Load()
		known.note(devices, nil) // first, as Refresh does
		var moved []*row
		for _, r := range rows {
			a, ok := known.byID[r.id]
			if !ok {
				continue // the next refresh reads it
			}
			a.gauge.count(r)
			if a.state != r.state || a.stage != r.stage {
				moved = append(moved, r)
			}
		}
		if len(moved) == 0 {
			return
		}
		if err := e.adopt(nil, moved); err != nil {
			e.log.Error("rollout: not taken into memory, it is tried again", "error", err)
		}
	}
}
