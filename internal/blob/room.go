package blob

import (
	"fmt"

	"github.com/secure-ota/secure-ota/manifest"
)

// maxUploads is how many uploads may be unfinished at a time. Each costs a
// file, however small it is, and a look at every new one.
const maxUploads = 256

// crowded refuses one more upload than there may be.
func (d *Dir) crowded() error {
	n := 0
	err := d.eachUpload(func(manifest.Digest, upload) error { n++; return nil })
	if err == nil && n >= maxUploads {
		err = fmt.Errorf("%w: %d are not finished", ErrBusy, n)
	}
	return err
}

// room refuses a blob that would not fit, before its first byte is taken. What
// running uploads will still bring counts as taken.
func (d *Dir) room(size int64) error {
	if size < 1 || size > d.cfg.MaxSize {
		return fmt.Errorf("%w: %d bytes, want 1 to %d", ErrSize, size, d.cfg.MaxSize)
	}
	if d.cfg.Free == nil && d.cfg.Quota == 0 {
		return nil
	}
	held, coming, err := d.uploading()
	if err != nil {
		return err
	}
	if d.cfg.Free != nil {
		free, err := d.cfg.Free(d.path)
		if err != nil {
			return fmt.Errorf("ask for free disk space: %w", err)
		}
		if free-d.cfg.Reserve-coming < size {
			return fmt.Errorf("%w: %d bytes do not fit: %d are free, of which %d stay reserved and %d are being uploaded",
				ErrFull, size, free, d.cfg.Reserve, coming)
		}
	}
	if d.cfg.Quota == 0 {
		return nil
	}
	used := held + coming
	for item, err := range d.Items() {
		if err != nil {
			return err
		}
		if item.Kind == KindBlob {
			used += item.Size
		}
	}
	if size > d.cfg.Quota-used {
		return fmt.Errorf("%w: %d bytes do not fit: %d of the quota of %d bytes are used", ErrFull, size, used, d.cfg.Quota)
	}
	return nil
}

// uploading adds up what uploads hold and what they will still bring, in
// bytes.
func (d *Dir) uploading() (held, coming int64, err error) {
	err = d.eachUpload(func(_ manifest.Digest, u upload) error {
		held += u.Offset
		coming += u.Size - u.Offset
		return nil
	})
	return held, coming, err
}
