package gateway

import "context"

// Bounds of the read-ahead of an image, in bytes. It starts small and doubles
// while a device reads on, so that one that jumps about costs little.
const (
	minAhead = 4 << 10
	maxAhead = 64 << 10
)

// A window is a part of an object, kept because devices ask for the next bytes
// next.
type window struct {
	path  string
	total uint32
	at    uint32
	data  []byte
	ahead uint32
}

// has returns the bytes [offset, offset+size) of an object, or what there is of
// them up to its end, if they are in the window.
func (w *window) has(path string, offset, size uint32) ([]byte, bool) {
	if w.path != path || offset < w.at || offset > w.total {
		return nil, false
	}
	start, size := uint64(offset-w.at), min(size, w.total-offset)
	if start+uint64(size) > uint64(len(w.data)) {
		return nil, false
	}
	return w.data[start : start+uint64(size)], true
}

// read returns bytes of an object, and its size.
func (u *upstream) read(ctx context.Context, q question) (data []byte, total uint32, err error) {
	w, load := &u.object, u.loadObject
	if q.Kind == kindImage {
		w, load = &u.image, u.loadImage
	}
	data, ok := w.has(q.path(), q.Offset, q.Most)
	if !ok {
		if err := load(ctx, q); err != nil {
			return nil, 0, err
		}
		if data, ok = w.has(q.path(), q.Offset, q.Most); !ok && q.Offset <= w.total {
			return nil, 0, failed(statusUnavailable, "the server sent fewer bytes than it has")
		}
	}
	if !ok {
		f := failed(statusBad, "offset %d of %d bytes", q.Offset, w.total)
		f.total = w.total
		return nil, 0, f
	}
	return data, w.total, nil
}

func (u *upstream) loadObject(ctx context.Context, q question) error {
	data, err := u.get(ctx, q.path())
	if err != nil {
		return err
	}
	u.object = window{path: q.path(), total: uint32(len(data)), data: data}
	return nil
}

func (u *upstream) loadImage(ctx context.Context, q question) error {
	ahead := uint32(minAhead)
	w := &u.image
	end := uint64(w.at) + uint64(len(w.data))
	if w.path == q.path() && q.Offset >= w.at && uint64(q.Offset) <= end {
		ahead = min(2*w.ahead, maxAhead)
	}
	data, total, err := u.getRange(ctx, q.path(), q.Offset, ahead)
	if err != nil {
		return err
	}
	u.image = window{path: q.path(), total: total, at: q.Offset, data: data, ahead: ahead}
	return nil
}
