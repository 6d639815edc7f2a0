package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

// stallTimeout ends a download in which no block arrives: below a block a
// minute an image would take days, and so would whatever waits for it.
const stallTimeout = time.Minute

var errStalled = fmt.Errorf("%w: it came to a standstill for %v", reason.Transport, stallTimeout)

// A download is one image on its way into a slot.
type download struct {
	*Client
	release Release
	size    int64
	dst     Slot
	hash    hash.Hash
	at      int64                  // bytes in the slot, all hashed
	marked  int64                  // of those, synced and recorded
	mark    func(done int64) error // records how far it came
}

// Download fetches the image of a release into dst, which holds the first have
// bytes of it from an earlier attempt: they are hashed before they count, and
// if the whole then does not hash to the manifest the image is fetched again
// from its beginning. mark is called with the bytes that are durably in dst
// now and then, and when the download breaks off. A nil error means that the
// bytes that were streamed hash to the signed digest; reading them back is
// InstallFirmware's.
func (c *Client) Download(ctx context.Context, r Release, dst Slot, have int64, mark func(done int64) error) error {
	if r.manifest.IsZero() {
		return fmt.Errorf("download: %w", trust.ErrNotNamed)
	}
	d := &download{Client: c, release: r, size: int64(r.Manifest().ImageSize), dst: dst, hash: sha256.New(), mark: mark}
	if err := d.takeUp(have); err != nil {
		return err
	}
	resumed := d.at > 0
	err := d.stream(ctx)
	if resumed && errors.Is(err, trust.ErrImageDigest) {
		// Something on the disk was not what it seemed, and no reason to reject the release.
		d.restart()
		err = d.stream(ctx)
	}
	return err
}

// takeUp hashes what is in the slot. Only whole blocks are kept, so that every
// write to a block device is an aligned one.
func (d *download) takeUp(have int64) error {
	have = min(have, d.size)
	if have != d.size {
		have -= have % int64(d.block)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{d.hash}, io.NewSectionReader(d.dst, 0, have), make([]byte, d.block))
	if err != nil {
		return fmt.Errorf("read what was downloaded: %w", storage(err))
	}
	if n < have {
		d.restart()
		return nil
	}
	d.at, d.marked = have, have
	return nil
}

func (d *download) restart() {
	d.hash.Reset()
	d.at, d.marked = 0, 0
}

// stream fetches from d.at to the end.
func (d *download) stream(ctx context.Context) error {
	if d.at < d.size {
		if err := d.fetch(ctx); err != nil {
			return err
		}
	}
	if want := d.release.Manifest().ImageDigest; [sha256.Size]byte(d.hash.Sum(nil)) != want {
		return fmt.Errorf("image of %s: %w: it hashes to %x", d.release.Manifest().Version, trust.ErrImageDigest, d.hash.Sum(nil))
	}
	return nil
}

func (d *download) fetch(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	stall := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer stall.Stop()
	resp, err := d.ask(ctx)
	if err != nil && context.Cause(ctx) == errStalled {
		err = fmt.Errorf("image: %w", errStalled)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.place(resp); err != nil {
		return err
	}
	err = d.copy(resp.Body, func() { stall.Reset(stallTimeout) })
	switch {
	case err != nil && context.Cause(ctx) == errStalled:
		// Not as the cancellation that it is inside: nobody asked for that.
		err = fmt.Errorf("image after %d of %d bytes: %w", d.at, d.size, errStalled)
	case parent.Err() != nil:
		err = fmt.Errorf("image broken off: %w", parent.Err())
	}
	if err == nil || d.at == d.marked {
		return err
	}
	return errors.Join(err, d.record())
}

// ask requests the image, or the rest of it.
func (d *download) ask(ctx context.Context) (*http.Response, error) {
	digest := d.release.Manifest().ImageDigest.String()
	req, err := d.request(ctx, http.MethodGet, "/v1/firmware/"+digest+"?device="+d.id.ID, nil)
	if err != nil {
		return nil, err
	}
	if d.at == 0 {
		return d.send(req, http.StatusOK)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
	req.Header.Set("If-Range", `"`+digest+`"`)
	resp, err := d.send(req, http.StatusOK, http.StatusPartialContent)
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
		d.restart()
		return d.ask(ctx)
	}
	return resp, err
}

// place finds out where in the image the answer begins, and refuses one that is
// neither the range asked for nor the whole image.
func (d *download) place(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		// The server may ignore a range: then all of the image comes.
		d.restart()
	} else if want := fmt.Sprintf("bytes %d-%d/%d", d.at, d.size-1, d.size); resp.Header.Get("Content-Range") != want {
		return fmt.Errorf("image: %w: the server sends %q, asked for %q", trust.ErrImageDigest, printable(resp.Header.Get("Content-Range")), want)
	}
	if resp.ContentLength != d.size-d.at {
		return fmt.Errorf("image: %w: the server sends %d bytes, %d are missing", trust.ErrImageDigest, resp.ContentLength, d.size-d.at)
	}
	return nil
}

// copy moves the body into the slot, hashing it, in whole blocks.
func (d *download) copy(body io.Reader, alive func()) error {
	buf := make([]byte, min(int64(d.block), d.size-d.at))
	for d.at < d.size {
		b := buf[:min(int64(len(buf)), d.size-d.at)]
		if _, err := io.ReadFull(body, b); err != nil {
			return fmt.Errorf("image: %w after %d of %d bytes: %w", reason.Transport, d.at, d.size, err)
		}
		alive()
		if _, err := d.dst.WriteAt(b, d.at); err != nil {
			return storage(err)
		}
		d.hash.Write(b)
		d.at += int64(len(b))
		d.progress(Progress{Version: d.release.Manifest().Version.String(), Done: d.at, Total: d.size})
		if d.at-d.marked >= d.checkpoint && d.at < d.size {
			if err := d.record(); err != nil {
				return err
			}
		}
	}
	return nil
}

// record notes durably how far the download is.
func (d *download) record() error {
	if err := d.dst.Sync(); err != nil {
		return storage(err)
	}
	if err := d.mark(d.at); err != nil {
		return err
	}
	d.marked = d.at
	return nil
}
