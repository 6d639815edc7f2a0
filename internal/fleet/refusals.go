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
	byAddr map[netip.Addr]map[string]int
}

func (r *refusals) count(addr netip.Addr, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byAddr == nil {
		r.byAddr = map[netip.Addr]map[string]int{}
	}
	if _, ok := r.byAddr[addr]; !ok && len(r.byAddr) >= maxRefusalAddresses {
		addr = netip.Addr{} // the others
	}
	if r.byAddr[addr] == nil {
		r.byAddr[addr] = map[string]int{}
	}
	r.byAddr[addr][what]++
}

// take returns the counts as audit entries and starts again from nothing.
func (r *refusals) take() []audit.Entry {
	r.mu.Lock()
	counts := r.byAddr
	r.byAddr = nil
	r.mu.Unlock()
	var entries []audit.Entry
	for _, addr := range slices.SortedFunc(maps.Keys(counts), netip.Addr.Compare) {
		e := audit.Entry{Actor: "system", Action: "refused", Object: "unauthenticated", After: audit.JSON(counts[addr])}
		if addr.IsValid() {
			e.Address = addr.String()
		}
		entries = append(entries, e)
	}
	return entries
}

// record writes entries, of which there is at least one, in one transaction.
func record(tx *store.Tx, entries []audit.Entry) error {
	for _, e := range entries {
		if err := tx.Record(e); err != nil {
			return err
		}
	}
	return nil
}
