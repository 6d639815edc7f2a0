package fleet

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
)

// maxRefusalAddresses is how many addresses get a record of their own in a
// minute; the rest share one. It bounds what can be written from outside.
const maxRefusalAddresses = 64

// refusals count what was refused to those who did not authenticate, until
// they are written as one record for each address and minute.
type refusals struct {
	mu     sync.Mutex
	counts refusalCounts
}

// refusalCounts are how often what was refused, by address. The zero address
// stands for all others.
type refusalCounts map[netip.Addr]map[string]int

func (r *refusals) count(addr netip.Addr, what string) {
	r.put(refusalCounts{addr: {what: 1}})
}

// put adds counts to those that wait to be written.
func (r *refusals) put(counts refusalCounts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = refusalCounts{}
	}
	for addr, byWhat := range counts {
		if _, ok := r.counts[addr]; !ok && len(r.counts) >= maxRefusalAddresses {
			addr = netip.Addr{}
		}
		if r.counts[addr] == nil {
			r.counts[addr] = map[string]int{}
		}
		for what, n := range byWhat {
			r.counts[addr][what] += n
		}
	}
}

// take returns the counts and starts again from nothing.
func (r *refusals) take() refusalCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.counts
	r.counts = nil
	return counts
}

// record writes a record for each address, in one transaction.
func (c refusalCounts) record(tx *store.Tx) error {
	for _, addr := range slices.SortedFunc(maps.Keys(c), netip.Addr.Compare) {
		e := audit.Entry{Actor: "system", Action: "refused", Object: "unauthenticated", After: audit.JSON(c[addr])}
		if addr.IsValid() {
			e.Address = addr.String()
		}
		if err := tx.Record(e); err != nil {
			return err
		}
	}
	return nil
}
