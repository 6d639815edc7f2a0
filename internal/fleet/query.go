package fleet

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/version"
)

// A Query asks for a page of devices.
type Query struct {
	DeviceType string         // empty: all
	Filter     *filter.Filter // nil: all
	Order      Order
	After      Cursor // the last device of the page before; zero: from the first
	Limit      int
}

// A Cursor is a place in an order: behind a device, where that stood when it
// was listed. A device that moves in the meantime, because it is seen, may be
// listed twice or not at all; every other one is listed once.
type Cursor struct {
	Ref Ref
	Key string // what the order compares, as text; see Order.Key
}

// An Order sorts devices. Devices that are equal in it stand by type and id.
type Order struct {
	By         OrderField
	Descending bool
}

// An OrderField is what an order compares.
type OrderField string

// What devices are sorted by.
const (
	ByName    OrderField = "id" // type and id
	BySeen    OrderField = "seen"
	ByAdded   OrderField = "added"
	ByVersion OrderField = "version"
	ByKeyset  OrderField = "keyset"
	ByState   OrderField = "state"
)

var orderFields = []OrderField{ByName, BySeen, ByAdded, ByVersion, ByKeyset, ByState}

// ParseOrder reads the name of a field, with "-" before it if the order
// descends. Empty is by type and id.
func ParseOrder(text string) (Order, error) {
	name, descending := strings.CutPrefix(text, "-")
	o := Order{OrderField(cmp.Or(name, string(ByName))), descending}
	if !slices.Contains(orderFields, o.By) {
		return Order{}, fmt.Errorf("%w: order %q: want one of %v, or -%s to descend", ErrInvalid, text, orderFields, BySeen)
	}
	return o, nil
}

// A sortKey is what an order compares of one device; what it does not compare
// is zero.
type sortKey struct {
	number  int64
	version version.Version
	text    string
	ref     Ref
}

func (s *subject) sortKey(o Order) sortKey {
	key := sortKey{ref: s.Ref}
	switch o.By {
	case BySeen:
		key.number = millis(s.LastSeen)
	case ByAdded:
		key.number = millis(s.AddedAt)
	case ByKeyset:
		key.number = int64(s.KeysetVersion)
	case ByVersion:
		key.version = s.Version(filter.Version)
	case ByState:
		key.text = string(s.State(s.now, s.retry))
	}
	return key
}

// sortKey reads what Cursor.Key says.
func (c Cursor) sortKey(o Order) (key sortKey, err error) {
	key.ref = c.Ref
	switch o.By {
	case BySeen, ByAdded:
		if c.Key != "" { // never seen
			var at time.Time
			at, err = time.Parse(time.RFC3339Nano, c.Key)
			key.number = millis(at)
		}
	case ByKeyset:
		key.number, err = strconv.ParseInt(c.Key, 10, 64)
	case ByVersion:
		if c.Key != "" { // unknown
			key.version, err = version.Parse(c.Key)
		}
	case ByState:
		key.text = c.Key
	}
	if err != nil {
		err = fmt.Errorf("%w: after %q: it is no value of %s", ErrInvalid, c.Key, o.By)
	}
	return key, err
}

// compare orders two devices. Names break ties the same way in both
// directions.
func (o Order) compare(a, b sortKey) int {
	c := cmp.Or(cmp.Compare(a.number, b.number), version.Compare(a.version, b.version), strings.Compare(a.text, b.text))
	if o.Descending {
		c = -c
	}
	if c == 0 {
		c = compareRefs(a.ref, b.ref)
		if o.Descending && o.By == ByName {
			c = -c
		}
	}
	return c
}

// Find returns the devices that a query selects, in its order.
func (f *Fleet) Find(q Query) ([]Device, error) {
	if err := f.whole(); err != nil {
		return nil, fmt.Errorf("find devices: %w", err)
	}
	if q.Order.By == "" {
		q.Order.By = ByName
	}
	if q.Order == (Order{By: ByName}) {
		return f.findByName(q), nil
	}
	var after sortKey
	first := q.After == Cursor{}
	if !first {
		var err error
		if after, err = q.After.sortKey(q.Order); err != nil {
			return nil, fmt.Errorf("find devices: %w", err)
		}
	}
	page := page{order: q.Order, limit: q.Limit}
	s := f.subject(nil)
	f.each(q.DeviceType, Ref{}, func(d *Device) bool {
		s.Device = d
		if key := s.sortKey(q.Order); (first || q.Order.compare(key, after) > 0) && page.wants(key) && q.Filter.Match(s) {
			page.add(found{key, *d})
		}
		return true
	})
	return page.sorted(), nil
}

// findByName needs to look no further than to the end of the page.
func (f *Fleet) findByName(q Query) []Device {
	list := []Device{}
	s := f.subject(nil)
	f.each(q.DeviceType, q.After.Ref, func(d *Device) bool {
		if len(list) == q.Limit {
			return false
		}
		s.Device = d
		if q.Filter.Match(s) {
			list = append(list, *d)
		}
		return true
	})
	return list
}

// Each calls do with every device that a filter selects now, by type and id.
// The device is valid during the call; do must not change it.
func (f *Fleet) Each(wanted *filter.Filter, do func(*Device)) error {
	if err := f.whole(); err != nil {
		return err
	}
	f.selected("", wanted, func(d *Device) bool { do(d); return true })
	return nil
}

// whole waits until all devices are in memory. What counts, lists or edits
// would otherwise pass a part of the fleet for all of it.
func (f *Fleet) whole() error {
	if f.awaitLoaded(listWait); !f.isLoaded() {
		return fmt.Errorf("devices are still being read: %w", ErrStorage)
	}
	return nil
}

// selected calls do with every device of a type, of all types if it is empty,
// that a filter selects, by type and id, until it says no.
func (f *Fleet) selected(deviceType string, wanted *filter.Filter, do func(*Device) bool) {
	s := f.subject(nil)
	f.each(deviceType, Ref{}, func(d *Device) bool {
		s.Device = d
		return !wanted.Match(s) || do(d)
	})
}

// each calls do with every device of a type, of all types if it is empty, that
// comes after a device in the order of type and id, until it says no. The
// device is valid during the call. The caller has seen to it that the fleet is
// whole.
func (f *Fleet) each(deviceType string, after Ref, do func(*Device) bool) {
	if deviceType != "" && after.DeviceType < deviceType {
		after = Ref{DeviceType: deviceType}
	}
	for d := range f.table.after(after) {
		if deviceType != "" && d.DeviceType != deviceType || !do(d) {
			return
		}
	}
}

func compareRefs(a, b Ref) int {
	return cmp.Or(strings.Compare(a.DeviceType, b.DeviceType), strings.Compare(a.ID, b.ID))
}

// A found device has its place in the order.
type found struct {
	key    sortKey
	device Device
}

// A page keeps the first devices of an order: a heap of which the last of them
// is the top.
type page struct {
	order Order
	limit int
	list  []found
}

func (p *page) Len() int           { return len(p.list) }
func (p *page) Less(i, j int) bool { return p.order.compare(p.list[i].key, p.list[j].key) > 0 }
func (p *page) Swap(i, j int)      { p.list[i], p.list[j] = p.list[j], p.list[i] }
func (p *page) Push(x any)         { p.list = append(p.list, x.(found)) }

// Pop implements heap.Interface.
func (p *page) Pop() any {
	last := p.list[len(p.list)-1]
	p.list = p.list[:len(p.list)-1]
	return last
}

// wants reports whether a device of that key belongs on the page.
func (p *page) wants(key sortKey) bool {
	return p.limit > 0 && (len(p.list) < p.limit || p.order.compare(key, p.list[0].key) < 0)
}

func (p *page) add(d found) {
	if len(p.list) < p.limit {
		heap.Push(p, d)
		return
	}
	p.list[0] = d
	heap.Fix(p, 0)
}

func (p *page) sorted() []Device {
	slices.SortFunc(p.list, func(a, b found) int { return p.order.compare(a.key, b.key) })
	devices := make([]Device, len(p.list))
	for i, d := range p.list {
		devices[i] = d.device
	}
	return devices
}
