package crashfs

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// node is a file, a directory or a symbolic link. A file has two contents:
// data is what programs see, disk what a power cut can not take.
type node struct {
	mode  fs.FileMode
	mtime time.Time

	data  []byte
	disk  []byte
	dirty map[int]bool // sectors of data still to be written to disk

	entries map[string]*node // of a directory, as programs see it
	durable map[string]*node // of a directory, less the changes in FS.journal

	target string // of a symbolic link
}

func (n *node) write(data []byte, off int) {
	from := min(off, len(n.data)) // a hole before off is written as zeros
	if end := off + len(data); end > len(n.data) {
		n.data = append(n.data, make([]byte, end-len(n.data))...)
	}
	copy(n.data[off:], data)
	n.touch(from, off+len(data))
}

func (n *node) truncate(size int) {
	old := len(n.data)
	if size <= old {
		n.data = slices.Clone(n.data[:size])
		return
	}
	n.data = append(n.data, make([]byte, size-old)...)
	n.touch(old, size)
}

func (n *node) touch(from, to int) {
	if n.dirty == nil {
		n.dirty = map[int]bool{}
	}
	for at := from; at < to; at = at/sectorSize*sectorSize + sectorSize {
		n.dirty[at/sectorSize] = true
	}
}

// flush is a File.Sync that succeeds.
func (n *node) flush() {
	n.disk = n.found(dataKept, nil)
	n.dirty = nil
}

// unsynced reports whether a power cut could change what is read.
func (n *node) unsynced() bool { return len(n.dirty) > 0 || len(n.disk) != len(n.data) }

// fate is what a power cut does to the unsynced data of one file.
type fate int

const (
	dataLost   fate = iota
	dataKept        // all sectors and the length
	dataZeros       // the length, with zeros for the sectors: metadata was written before data
	dataPrefix      // the first few sectors
	dataRandom      // any sectors, and perhaps the length
	fates
)

// found returns the content of a file after a power cut.
func (n *node) found(f fate, r *rand.Rand) []byte {
	if f == dataLost || !n.unsynced() {
		return slices.Clone(n.disk)
	}
	sectors := slices.Sorted(maps.Keys(n.dirty))
	keep := func(int) bool { return true }
	length := f == dataKept || f == dataZeros
	switch f {
	case dataPrefix:
		kept := r.IntN(len(sectors) + 1)
		keep = func(i int) bool { return i < kept }
		length = kept == len(sectors)
	case dataRandom:
		keep = func(int) bool { return r.IntN(2) == 0 }
		length = r.IntN(2) == 0
	}

	out := slices.Clone(n.disk)
	for i, sector := range sectors {
		from, to := sector*sectorSize, min(sector*sectorSize+sectorSize, len(n.data))
		if from >= to || !keep(i) {
			continue
		}
		out = resize(out, max(len(out), to))
		if f == dataZeros {
			clear(out[from:to])
		} else {
			copy(out[from:to], n.data[from:to])
		}
	}
	if length {
		out = resize(out, len(n.data))
	}
	return out
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}
