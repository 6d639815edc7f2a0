package crashfs

import (
	"errors"
	"io/fs"
	"math/rand/v2"
)

// ErrCrash is wrapped by the error of the operation in which the power failed and of all
// later ones on the same [FS]. The code under test runs on, but can change nothing more.
var ErrCrash = errors.New("power lost")

type crash struct {
	at   int
	cut  Cut
	seed uint64
}

type fault struct {
	at  int
	err error
}

// Ops returns how many mutating operations (write, sync, truncate, create, rename, link, remove,
// mkdir, symlink, syncdir) there have been. One that is refused, say because a name exists, does not count.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Reads returns how many reading operations there have been.
func (f *FS) Reads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

// Crashed reports whether the power has failed.
func (f *FS) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// CrashAt makes the power fail in the n-th mutating operation, counted from 1 as [FS.Ops] does.
func (f *FS) CrashAt(n int, cut Cut, seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crash = crash{at: n, cut: cut, seed: seed}
}

// FailAt makes the n-th mutating operation fail once with err. A write that fails
// has written its first half; a sync that fails has dropped the data.
func (f *FS) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault{at: n, err: err}
}

// FailReadAt makes the n-th reading operation fail once with err.
func (f *FS) FailReadAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readFault = fault{at: n, err: err}
}

// mutation is one operation that changes the file system. It was found to be possible.
type mutation struct {
	op, path string
	apply    func()
	torn     func(r *rand.Rand) // what a cut in the middle leaves; nil if atomic
	failed   func()             // what a failure leaves; nil if nothing
}

// mutate counts a mutation and performs it, unless the power or the disk fails.
func (f *FS) mutate(m mutation) error {
	f.ops++
	switch f.ops {
	case f.crash.at:
		f.crashed = true
		f.loseDuring(m)
		return &fs.PathError{Op: m.op, Path: m.path, Err: ErrCrash}
	case f.fault.at:
		if m.failed != nil {
			m.failed()
		}
		return &fs.PathError{Op: m.op, Path: m.path, Err: f.fault.err}
	}
	m.apply()
	return nil
}

func (f *FS) loseDuring(m mutation) {
	r := random(f.crash.seed)
	switch {
	case f.crash.cut == After:
		m.apply()
	case f.crash.cut == During && m.torn != nil:
		m.torn(r)
	case f.crash.cut == During && r.IntN(2) == 0:
		m.apply()
	}
}

// alive is the start of every operation. Check it before anything else: a machine
// without power does not even report that a file is missing.
func (f *FS) alive(op, path string) error {
	if f.crashed {
		return &fs.PathError{Op: op, Path: path, Err: ErrCrash}
	}
	return nil
}

// read is the start of every operation that only reads.
func (f *FS) read(op, path string) error {
	if err := f.alive(op, path); err != nil {
		return err
	}
	f.reads++
	if f.reads == f.readFault.at {
		return &fs.PathError{Op: op, Path: path, Err: f.readFault.err}
	}
	return nil
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
