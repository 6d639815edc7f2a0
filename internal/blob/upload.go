package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
)

// syncEvery is how many bytes of an upload a power cut can cost at most.
const syncEvery = 32 << 20

const (
	partSuffix  = ".part"
	stateSuffix = ".state"
	stateFormat = 1
	maxState    = page + 64 // bytes of a state file
)

// page is what disks and file systems may write as one. A page of a part file
// that holds acknowledged bytes is not written again in place: a power cut
// could take them with it.
const page = 4096

// A State is where an upload stands.
type State struct {
	Size   int64 // bytes of the blob
	Offset int64 // bytes that are here, durably: where to continue
	Stored bool  // the blob is here, complete and verified; there is nothing to do
}

// upload is the content of a state file. The length of the part file says
// nothing: after a power cut it may count bytes that never reached the disk.
type upload struct {
	Format uint64 `cbor:"0,keyasint"`
	Size   int64  `cbor:"1,keyasint"`
	Offset int64  `cbor:"2,keyasint"`
	Tail   []byte `cbor:"3,keyasint,omitempty"` // the bytes before Offset that do not fill a page
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

// exclusively runs f as the only one who works on the upload of digest, in
// this process and others.
func (d *Dir) exclusively(digest manifest.Digest, f func() error) error {
	if err := d.claim(digest); err != nil {
		return err
	}
	defer func() {
		d.mu.Lock()
		delete(d.busy, digest)
		d.mu.Unlock()
	}()
	return f()
}

func (d *Dir) claim(digest manifest.Digest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		lock, err := d.lockUploads()
		if err != nil {
			return err
		}
		d.lock = lock
	}
	if d.busy[digest] {
		return ErrBusy
	}
	d.busy[digest] = true
	return nil
}

// lockUploads keeps a second process from writing to the same part files: with
// a descriptor left open it could change a blob after it was verified. Put
// needs no such lock, for its files have names that nobody else knows.
func (d *Dir) lockUploads() (io.Closer, error) {
	f, err := d.fsys.OpenFile(filepath.Join(d.path, uploadsName, "lock"), os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	file, ok := f.(*os.File)
	if !ok {
		return f, nil // a file system in memory has no other processes
	}
	if err := lockFile(file); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (d *Dir) begin(digest manifest.Digest, size int64) (State, error) {
	stored, err := d.Stat(digest)
	if err == nil && stored == size {
		// Its writer may be between making the name and syncing it.
		return State{Size: size, Offset: size, Stored: true}, d.settle(digest)
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
	if err := d.room(size); err != nil {
		return State{}, err
	}
	part, err := d.fsys.OpenFile(d.partName(digest), os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return State{}, err
	}
	if err := part.Close(); err != nil {
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
	part, err := d.fsys.OpenFile(d.partName(digest), os.O_WRONLY, 0)
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
			return err
		}
		if err := d.writeState(digest, next); err != nil {
			return err
		}
		u = next
		return nil
	}
	_, err = pump(ctx, r, u.Size-u.Offset, func(p []byte) error {
		if err := next.write(part, p); err != nil {
			return err
		}
		if next.Offset-u.Offset < syncEvery {
			return nil
		}
		return save()
	})
	return u.Offset, errors.Join(err, save())
}

// write adds p, and before it once more the tail of the page that p continues,
// which an earlier power cut may have taken.
func (u *upload) write(part io.WriterAt, p []byte) error {
	if len(u.Tail) > 0 {
		if _, err := part.WriteAt(u.Tail, u.Offset-int64(len(u.Tail))); err != nil {
			return err
		}
	}
	if _, err := part.WriteAt(p, u.Offset); err != nil {
		return err
	}
	u.Offset += int64(len(p))
	tail := int(u.Offset % page)
	if tail > len(p) {
		u.Tail = slices.Concat(u.Tail, p)
		return nil
	}
	u.Tail = bytes.Clone(p[len(p)-tail:])
	return nil
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
	name := d.Name(digest)
	if err := fsatomic.MkdirAll(d.fsys, filepath.Dir(name), dirPerm); err != nil {
		return Sums{}, err
	}
	if err := fsatomic.RenameDurable(d.fsys, d.partName(digest), name); err != nil {
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

func (d *Dir) partName(digest manifest.Digest) string {
	return filepath.Join(d.path, uploadsName, digest.String()+partSuffix)
}

func (d *Dir) stateName(digest manifest.Digest) string {
	return filepath.Join(d.path, uploadsName, digest.String()+stateSuffix)
}

func (d *Dir) readState(digest manifest.Digest) (upload, error) {
	raw, err := d.fsys.ReadFile(d.stateName(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return upload{}, ErrNoUpload
	}
	if err != nil {
		return upload{}, err
	}
	return decodeState(raw)
}

// decodeState strictly decodes a state file. One that is damaged belongs to no
// upload that could be continued.
func decodeState(raw []byte) (upload, error) {
	if len(raw) > maxState {
		return upload{}, fmt.Errorf("%w: its state is damaged", ErrNoUpload)
	}
	var u upload
	if err := dcbor.UnmarshalPayload(raw, stateFormat, &u); err != nil {
		return upload{}, fmt.Errorf("%w: its state is damaged: %v", ErrNoUpload, err)
	}
	if u.Size < 1 || u.Size > manifest.MaxImageSize || u.Offset < 0 || u.Offset > u.Size || len(u.Tail) != int(u.Offset%page) {
		return upload{}, fmt.Errorf("%w: its state is damaged: byte %d of %d", ErrNoUpload, u.Offset, u.Size)
	}
	return u, nil
}

func (d *Dir) writeState(digest manifest.Digest, u upload) error {
	u.Format = stateFormat
	raw, err := dcbor.Marshal(u)
	if err != nil {
		return err
	}
	return fsatomic.WriteFile(d.fsys, d.stateName(digest), raw, filePerm)
}

// eachUpload calls f for every upload that could be continued.
func (d *Dir) eachUpload(f func(manifest.Digest, upload) error) error {
	entries, err := d.fsys.ReadDir(filepath.Join(d.path, uploadsName))
	if err != nil {
		return err
	}
	for _, e := range entries {
		hex, ok := strings.CutSuffix(e.Name(), stateSuffix)
		if !ok {
			continue
		}
		digest, err := manifest.ParseDigest(hex)
		if err != nil {
			continue
		}
		u, err := d.readState(digest)
		if errors.Is(err, ErrNoUpload) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f(digest, u); err != nil {
			return err
		}
	}
	return nil
}
