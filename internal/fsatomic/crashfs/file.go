package crashfs

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// file is an open file. It keeps its node when the name goes.
type file struct {
	fs     *FS
	node   *node
	name   string
	flag   int
	offset int64
	closed bool
}

func (h *file) Name() string { return h.name }

// use locks the file system for an operation that needs access, O_RDONLY or O_WRONLY.
func (h *file) use(op string, access int, do func() error) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.alive(op, h.name); err != nil {
		return err
	}
	var err error
	mode := h.flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
	switch {
	case h.closed:
		err = fs.ErrClosed
	case access == os.O_RDONLY && mode == os.O_WRONLY, access == os.O_WRONLY && mode == os.O_RDONLY:
		err = syscall.EBADF
	case access == os.O_RDONLY && h.node.mode.IsDir():
		err = syscall.EISDIR
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: h.name, Err: err}
	}
	return do()
}

func (h *file) Read(p []byte) (n int, err error) {
	err = h.use("read", os.O_RDONLY, func() error {
		n, err = h.readAt(p, h.offset)
		h.offset += int64(n)
		if n > 0 && err == io.EOF {
			return nil
		}
		return err
	})
	return n, err
}

func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.use("read", os.O_RDONLY, func() error {
		n, err = h.readAt(p, off)
		return err
	})
	return n, err
}

func (h *file) readAt(p []byte, off int64) (int, error) {
	if err := h.fs.read("read", h.name); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: h.name, Err: syscall.EINVAL}
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := copy(p, h.node.data[min(off, int64(len(h.node.data))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *file) Write(p []byte) (n int, err error) {
	err = h.use("write", os.O_WRONLY, func() error {
		if h.flag&os.O_APPEND != 0 {
			h.offset = int64(len(h.node.data))
		}
		n, err = h.writeAt(p, h.offset)
		h.offset += int64(n)
		return err
	})
	return n, err
}

func (h *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = h.use("write", os.O_WRONLY, func() error {
		if off < 0 || h.flag&os.O_APPEND != 0 {
			return &fs.PathError{Op: "write", Path: h.name, Err: syscall.EINVAL}
		}
		n, err = h.writeAt(p, off)
		return err
	})
	return n, err
}

func (h *file) writeAt(p []byte, off int64) (n int, err error) {
	put := func(count int) {
		n = count
		if n > 0 {
			h.node.write(p[:n], int(off))
			h.node.mtime = time.Unix(int64(h.fs.ops), 0).UTC()
		}
	}
	err = h.fs.mutate(mutation{op: "write", path: h.name,
		apply:  func() { put(len(p)) },
		torn:   func(r *rand.Rand) { put(r.IntN(len(p) + 1)) },
		failed: func() { put(len(p) / 2) },
	})
	return n, err
}

func (h *file) Seek(offset int64, whence int) (int64, error) {
	err := h.use("seek", -1, func() error {
		switch whence {
		case io.SeekCurrent:
			offset += h.offset
		case io.SeekEnd:
			offset += int64(len(h.node.data))
		}
		if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
			return &fs.PathError{Op: "seek", Path: h.name, Err: syscall.EINVAL}
		}
		h.offset = offset
		return nil
	})
	if err != nil {
		return 0, err
	}
	return offset, nil
}

// Sync in the middle has written any of the sectors; failed, it has dropped them all.
func (h *file) Sync() error {
	return h.use("sync", -1, func() error {
		n := h.node
		return h.fs.mutate(mutation{op: "sync", path: h.name,
			apply:  n.flush,
			torn:   func(r *rand.Rand) { n.disk = n.found(dataRandom, r) },
			failed: func() { n.dirty = nil },
		})
	})
}

func (h *file) Truncate(size int64) error {
	return h.use("truncate", os.O_WRONLY, func() error {
		if size < 0 {
			return &fs.PathError{Op: "truncate", Path: h.name, Err: syscall.EINVAL}
		}
		return h.fs.truncate(h.node, h.name, int(size))
	})
}

func (h *file) Stat() (info fs.FileInfo, err error) {
	err = h.use("stat", -1, func() error {
		info = h.node.info(baseOf(h.name))
		return h.fs.read("stat", h.name)
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// Close syncs nothing.
func (h *file) Close() error {
	return h.use("close", -1, func() error {
		h.closed = true
		return nil
	})
}
