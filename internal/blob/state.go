package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
)

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

// upload is the content of a state file. The length of the part file says
// nothing: after a power cut it may count bytes that never reached the disk.
type upload struct {
	Format uint64 `cbor:"0,keyasint"`
	Size   int64  `cbor:"1,keyasint"`
	Offset int64  `cbor:"2,keyasint"`
	Tail   []byte `cbor:"3,keyasint,omitempty"` // the bytes before Offset that do not fill a page
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
