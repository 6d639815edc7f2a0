package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/time/rate"

	"github.com/secure-ota/secure-ota/trust"
)

// Bounds of what is read of an answer, in bytes.
const (
	maxObject    = trust.MaxManifest // a keyset is as long, a key shorter
	maxErrorBody = 4096
)

// An upstream asks the server, for one line.
type upstream struct {
	base  string
	http  *http.Client
	limit *rate.Limiter
	// device is who seems to be at the line, "" for unknown. The server takes it
	// for a claim.
	device string

	object window // the last small object
	image  window // of the last image
}

func newUpstream(base string, client *http.Client, limit *rate.Limiter) *upstream {
	return &upstream{base: strings.TrimSuffix(base, "/"), http: client, limit: limit}
}

// post sends a message and returns what the server answers.
func (u *upstream) post(ctx context.Context, path string, message []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.base+path, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/cose")
	resp, err := u.do(req, want)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readAll(resp.Body, trust.MaxMessage)
}

// get fetches a small object, whole.
func (u *upstream) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.base+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := u.do(req, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readAll(resp.Body, maxObject)
}

// getRange fetches size bytes of an image from offset on, or what there is of
// them, and says how large the image is.
func (u *upstream) getRange(ctx context.Context, path string, offset, size uint32) (data []byte, total uint32, err error) {
	if u.device != "" {
		path += "?device=" + url.QueryEscape(u.device)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.base+path, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, uint64(offset)+uint64(size)-1))
	resp, err := u.do(req, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	text := resp.Header.Get("Content-Range")
	if total, err = totalOf(text); err != nil {
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil, total, nil
	}
	if !strings.HasPrefix(text, fmt.Sprintf("bytes %d-", offset)) {
		return nil, 0, failed(statusUnavailable, "the server sent another range: %q", text)
	}
	data, err = readAll(resp.Body, int64(size))
	return data, total, err
}

// totalOf reads the size out of "bytes A-B/TOTAL" or "bytes */TOTAL".
func totalOf(contentRange string) (uint32, error) {
	_, text, _ := strings.Cut(contentRange, "/")
	total, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, failed(statusUnavailable, "the server's Content-Range %q tells no size", contentRange)
	}
	return uint32(total), nil
}

func readAll(from io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return nil, failed(statusUnavailable, "the server's answer broke off: %w", err)
	}
	if int64(len(data)) > most {
		return nil, failed(statusUnavailable, "the server's answer has more than %d bytes", most)
	}
	return data, nil
}

// do sends a request; what is not a wanted status is a failure.
func (u *upstream) do(req *http.Request, want ...int) (*http.Response, error) {
	if err := u.limit.Wait(req.Context()); err != nil {
		return nil, failed(statusUnavailable, "too many questions: %w", err)
	}
	req.Header.Set("User-Agent", "secure-ota-gateway")
	resp, err := u.http.Do(req)
	if err != nil {
		return nil, failed(statusUnavailable, "%w", err)
	}
	for _, status := range want {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// refusal reads why the server did not do what it was asked.
func refusal(resp *http.Response) *failure {
	var said struct {
		Error  string       `json:"error"`
		Reason trust.Reason `json:"reason"`
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if json.Unmarshal(raw, &said) != nil {
		said.Error = http.StatusText(resp.StatusCode)
	}
	f := failed(statusRefused, "the server answered %d: %q", resp.StatusCode, said.Error)
	f.reason = said.Reason
	switch {
	case resp.StatusCode == http.StatusNotFound:
		f.status = statusNotFound
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 || resp.StatusCode < 400:
		f.status = statusUnavailable
	}
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		f.retry = time.Duration(seconds) * time.Second
	}
	return f
}
