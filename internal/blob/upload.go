package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
)

// DefaultSyncEvery is the SyncEvery of a Config that names none, in bytes.
const DefaultSyncEvery = 32 << 20

// A State is where an upload stands.
type State struct {
	Size   int64 // bytes of the blob
	Offset int64 // bytes that are here, durably: where to continue
	Stored bool  // the blob is here, complete and verified; there is nothing to do
}

// Upload begins the upload of a blob of size bytes, or finds where an earlier
// one broke off, in this process or before.
func (d *Dir) Upload(ctx context.Context, digest manifest.Digest, size int64) (s State, err error) {
	err = d.exclusively(digest, func() error {
		s, err = d.begin(digest, size)
		return err
	})
	return s, wrap("begin", digest, err)
}

// Append adds the bytes of r to an upload at offset, which must be where it
// stands (*OffsetError). It returns where the upload stands afterwards, also
// when r breaks off: what came before that is kept, durably.
func (d *Dir) Append(ctx context.Context, digest manifest.Digest, offset int64, r io.Reader) (end int64, err error) {
	err = d.exclusively(digest, func() error {
		end, err = d.append(ctx, digest, offset, r)
		return err
	})
	return end, wrap("continue", digest, err)
}

// Finish verifies a complete upload and makes it a blob, durably and at once.
// If the bytes do not hash to the digest (ErrDigest) the upload is discarded.
// Finishing what is stored already verifies that.
func (d *Dir) Finish(ctx context.Context, digest manifest.Digest) (sums Sums, err error) {
	err = d.exclusively(digest, func() error {
		sums, err = d.finish(ctx, digest)
		return err
	})
	return sums, wrap("finish", digest, err)
}

// Abort discards an upload. Without one it does nothing.
func (d *Dir) Abort(digest manifest.Digest) error {
	return wrap("abort", digest, d.exclusively(digest, func() error { return d.discard(digest) }))
}

func wrap(verb string, digest manifest.Digest, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s upload of %s: %w", verb, digest, explain(err))
}

func (d *Dir) begin(digest manifest.Digest, size int64) (State, error) {
	stored, err := d.Stat(digest)
	if err == nil && stored == size {
		// Its writer may be between making the name and syncing it.
		return State{Size: size, Offset: size, Stored: true}, d.settle()
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return State{}, err
	}
	u, err := d.readState(digest)
	if err == nil && u.Size == size {
		return State{Size: size, Offset: u.Offset}, nil
	}
	if err := d.discard(digest); err != nil {
		return State{}, err
	}
	// One at a time: two that both see the last free bytes would both get them.
	d.admission.Lock()
	defer d.admission.Unlock()
	if err := errors.Join(d.crowded(), d.room(size)); err != nil {
		return State{}, err
	}
	return State{Size: size}, d.writeState(digest, upload{Size: size})
}

func (d *Dir) append(ctx context.Context, digest manifest.Digest, offset int64, r io.Reader) (int64, error) {
	u, err := d.readState(digest)
	if err != nil {
		return 0, err
	}
	if offset != u.Offset {
		return u.Offset, &OffsetError{Given: offset, Want: u.Offset}
	}
	// Its name becomes durable with the first state that counts any of its bytes.
	part, err := d.fsys.OpenFile(d.partName(digest), os.O_WRONLY|os.O_CREATE, filePerm)
	if err != nil {
		return u.Offset, err
	}
	defer part.Close()
	if err := part.Truncate(u.Offset); err != nil { // what was never acknowledged
		return u.Offset, err
	}
	next := u // as it will be once it is saved
	save := func() error {
		if next.Offset == u.Offset {
			return nil
		}
		if err := part.Sync(); err != nil {
			next = u // a second sync could succeed without the bytes
			return err
		}
		if err := d.writeState(digest, next); err != nil {
			return err
		}
		u = next
		return nil
	}
	left := u.Size - u.Offset
	_, err = pump(ctx, r, left, reuse(left), func(p []byte) error {
		if err := next.write(part, p); err != nil {
			return err
		}
		if next.Offset-u.Offset < d.cfg.SyncEvery {
			return nil
		}
		return save()
	})
	err = errors.Join(err, save())
	return u.Offset, err
}

func (d *Dir) finish(ctx context.Context, digest manifest.Digest) (Sums, error) {
	u, err := d.readState(digest)
	if errors.Is(err, ErrNoUpload) {
		return d.finished(ctx, digest, err)
	}
	if err != nil {
		return Sums{}, err
	}
	if u.Offset != u.Size {
		return Sums{}, fmt.Errorf("%w: %d of %d bytes are here", ErrSize, u.Offset, u.Size)
	}
	part, err := d.fsys.OpenFile(d.partName(digest), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return d.finished(ctx, digest, err)
	}
	if err != nil {
		return Sums{}, err
	}
	sums, err := sum(ctx, part, digest, u.Size)
	if err := errors.Join(err, part.Close()); err != nil {
		if errors.Is(err, ErrDigest) || errors.Is(err, ErrSize) {
			err = errors.Join(err, d.discard(digest))
		}
		return Sums{}, err
	}
	if err := fsatomic.RenameDurable(d.fsys, d.partName(digest), d.Name(digest)); err != nil {
		return Sums{}, err
	}
	return sums, d.discard(digest)
}

// finished finds that an earlier call has made the blob, even if that call
// failed after it, and removes the rest. Without a blob it returns cause.
func (d *Dir) finished(ctx context.Context, digest manifest.Digest, cause error) (Sums, error) {
	sums, err := d.Verify(ctx, digest)
	if errors.Is(err, ErrNotFound) {
		return Sums{}, cause
	}
	if err != nil {
		return Sums{}, err
	}
	return sums, d.discard(digest)
}

// discard removes what there is of an upload. The state goes first: without
// it, the bytes mean nothing.
func (d *Dir) discard(digest manifest.Digest) error {
	for _, name := range []string{d.stateName(digest), d.partName(digest)} {
		if err := d.fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
