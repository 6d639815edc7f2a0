package crashfs

import (
	"maps"
	"slices"
)

// Settle makes all there is durable and starts counting anew, without faults: the ground for a test.
func (f *FS) Settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		n.disk, n.dirty = slices.Clone(n.data), nil
	}
	for _, c := range f.journal {
		c.apply()
	}
	f.journal = nil
	f.ops, f.reads = 0, 0
	f.crash, f.fault, f.readFault = crash{}, fault{}, fault{}
}

// Reboot returns the file system as it may be found when power returns, all of it durable. The FS itself
// is left as it was, so that one power cut can be followed by several reboots. If the
// power has not failed, it fails now, for the FS returned only.
func (f *FS) Reboot(mode Mode, seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := random(seed)
	found := &FS{}
	twins := make(map[*node]*node, len(f.nodes))
	for _, n := range f.nodes {
		twin := &node{mode: n.mode, mtime: n.mtime, target: n.target}
		twin.disk = n.found(mode.fate(r.IntN(int(fates))), r)
		twin.data = slices.Clone(twin.disk)
		twin.durable = maps.Clone(n.durable)
		twins[n] = twin
		found.nodes = append(found.nodes, twin)
	}
	found.root = twins[f.root]

	survives := mode.survivors(len(f.journal), r.IntN)
	for i, c := range f.journal {
		if len(c.waiting) > 0 && !survives(i) {
			continue
		}
		for _, s := range c.sets {
			s.in(twins[s.dir].durable)
		}
	}
	for _, twin := range found.nodes {
		for base, n := range twin.durable {
			twin.durable[base] = twins[n]
		}
		twin.entries = maps.Clone(twin.durable)
	}
	return found
}

// fate returns what the mode does to the unsynced data of one file.
func (m Mode) fate(drawn int) fate {
	switch m {
	case Kept, DataOnly:
		return dataKept
	case Zeros:
		return dataZeros
	case Prefix:
		return dataPrefix
	case Scattered:
		return fate(drawn)
	}
	return dataLost
}

// survivors returns which of so many unsynced directory changes are found after the reboot.
func (m Mode) survivors(changes int, draw func(int) int) func(i int) bool {
	switch m {
	case Kept, NamesOnly, Zeros:
		return func(int) bool { return true }
	case Prefix:
		kept := draw(changes + 1)
		return func(i int) bool { return i < kept }
	case Scattered:
		return func(int) bool { return draw(2) == 0 }
	}
	return func(int) bool { return false }
}
