package crashfs

import "slices"

// change is one operation on directories: its entries are set together or not at all.
type change struct {
	sets    []set
	waiting []*node // directories not synced since; the change is durable when none is left
}

// set is one directory entry and what it now refers to, nil for nothing.
type set struct {
	dir  *node
	name string
	to   *node
}

func (s set) in(entries map[string]*node) {
	if s.to == nil {
		delete(entries, s.name)
		return
	}
	entries[s.name] = s.to
}

// changeEntries shows a change to programs and remembers that it is not durable.
func (f *FS) changeEntries(sets ...set) {
	c := &change{sets: sets}
	for _, s := range sets {
		s.in(s.dir.entries)
		if !slices.Contains(c.waiting, s.dir) {
			c.waiting = append(c.waiting, s.dir)
		}
	}
	f.journal = append(f.journal, c)
}

// syncChanges makes the oldest count of the changes that wait for dir wait no longer, then
// takes those from the journal that can no longer be lost. It keeps their order: a later change
// of the same entry must win, and may be durable while an earlier one still waits.
func (f *FS) syncChanges(dir *node, count int) {
	for _, c := range f.waitingFor(dir)[:count] {
		c.waiting = slices.DeleteFunc(c.waiting, func(n *node) bool { return n == dir })
	}
	for len(f.journal) > 0 && len(f.journal[0].waiting) == 0 {
		f.journal[0].apply()
		f.journal = f.journal[1:]
	}
}

func (f *FS) waitingFor(dir *node) []*change {
	var waiting []*change
	for _, c := range f.journal {
		if slices.Contains(c.waiting, dir) {
			waiting = append(waiting, c)
		}
	}
	return waiting
}

func (c *change) apply() {
	for _, s := range c.sets {
		s.in(s.dir.durable)
	}
}
