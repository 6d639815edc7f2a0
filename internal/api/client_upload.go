package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
)

const (
	uploadPart  = 64 << 20 // bytes of one request: what a proxy on the way lets pass, with some luck
	uploadTries = 6        // in a row without a byte of progress
)

// Upload implements Management. A connection that breaks, and a server that is
// restarted, cost what was not acknowledged; the upload goes on from there.
func (c *Client) Upload(ctx context.Context, digest manifest.Digest, size int64, image io.ReadSeeker, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	path := fmt.Sprintf("/api/v1/uploads/%s?size=%d", digest, size)
	reached, failures := int64(-1), 0
	for {
		state, err := get[uploadJSON](ctx, c, path, nil)
		if err == nil && !state.Complete {
			progress(state.Offset, size)
			err = c.uploadPart(ctx, path, size, state.Offset, image, progress)
		} else if err == nil {
			progress(size, size)
			return nil
		}
		if err == nil || state.Offset > reached {
			failures = 0
		}
		reached = max(reached, state.Offset)
		if err == nil {
			continue
		}
		if failures++; failures >= uploadTries || !worthRetrying(err) {
			return fmt.Errorf("upload %s: %w", digest, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("upload %s: %w", digest, ctx.Err())
		case <-time.After(time.Duration(1<<failures) * 100 * time.Millisecond):
		}
	}
}

// worthRetrying says whether the same request may succeed later: whatever is
// not the server's own word, and what the server itself calls temporary.
func worthRetrying(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrFingerprint) {
		return false
	}
	var remote *RemoteError
	if !errors.As(err, &remote) {
		return true
	}
	return errors.Is(err, ErrOffset) || errors.Is(err, repository.ErrUploadBusy) ||
		errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTooMany)
}

func (c *Client) uploadPart(ctx context.Context, path string, size, offset int64, image io.ReadSeeker, progress func(done, total int64)) error {
	if _, err := image.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	length := min(size-offset, uploadPart)
	body := &part{r: &counter{io.LimitReader(image, length), offset, size, progress}}
	// The transport may go on reading the body after it has returned; the image
	// belongs to the next try by then.
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, c.base+path, body)
	if err != nil {
		return err
	}
	req.ContentLength = length
	req.Header.Set("Expect", "100-continue") // a refusal, such as "full", comes before the bytes travel
	req.Header.Set("Content-Type", typeBytes)
	req.Header.Set(headerUploadOffset, strconv.FormatInt(offset, 10))
	return c.do(req, nil)
}

// part is a request's body that ends for good when it is closed.
type part struct {
	mu     sync.Mutex
	r      io.Reader
	closed bool
}

// Read implements io.Reader.
func (p *part) Read(buf []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return p.r.Read(buf)
}

// Close implements io.Closer.
func (p *part) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}
