package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

// messageTimeout bounds a request whose answer is small.
const messageTimeout = time.Minute

// maxErrorBody is how much of an error's body is read, in bytes.
const maxErrorBody = 4096

// The two forms of messages.
const (
	typeCOSE = "application/cose"
	typeJSON = "application/json"
)

// A StatusError is an answer that is no success. It is reason 32: what the
// server says without authentication can only delay a device.
type StatusError struct {
	Request    string // method and path
	Status     int
	Message    string       // in the server's words
	Reason     trust.Reason // as the server gives it; 0: none
	RetryAfter time.Duration
}

// Error describes the answer.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: the server answered %d %s: %s", e.Request, e.Status, http.StatusText(e.Status), e.Message)
}

// Unwrap returns the reason "transport failed".
func (e *StatusError) Unwrap() error { return reason.Transport }

func isTransport(err error) bool { return errors.Is(err, reason.Transport) }

// statusOf returns the HTTP status inside err, 0 for none.
func statusOf(err error) int {
	var s *StatusError
	if errors.As(err, &s) {
		return s.Status
	}
	return 0
}

func (c *Client) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	if err := c.server.check(); err != nil {
		return nil, err
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.server.URL, "/")+path, r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("User-Agent", "secure-ota")
	return req, nil
}

// send does a request and turns everything but the wanted statuses into an error.
func (c *Client) send(req *http.Request, want ...int) (*http.Response, error) {
	what := req.Method + " " + req.URL.Path
	resp, err := c.ops.Do(req)
	if err != nil {
		if ctxErr := req.Context().Err(); errors.Is(ctxErr, context.Canceled) {
			return nil, fmt.Errorf("%s: %w", what, ctxErr)
		}
		return nil, fmt.Errorf("%s: %w: %w", what, reason.Transport, err)
	}
	for _, status := range want {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	defer resp.Body.Close()
	return nil, statusError(what, resp)
}

func statusError(what string, resp *http.Response) error {
	e := &StatusError{Request: what, Status: resp.StatusCode, Message: "no reason given"}
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var body struct {
		Error  string       `json:"error"`
		Reason trust.Reason `json:"reason"`
	}
	if json.Unmarshal(raw, &body) == nil && body.Error != "" {
		e.Message, e.Reason = printable(body.Error), body.Reason
	}
	return e
}

// printable keeps a server's words from doing more than being read.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), trust.MaxDetail)])
}

// exchange does a request whose answer is at most max bytes.
func (c *Client) exchange(req *http.Request, max int64, want ...int) (body []byte, contentType string, err error) {
	resp, err := c.send(req, want...)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return nil, "", fmt.Errorf("%s %s: %w: %w", req.Method, req.URL.Path, reason.Transport, err)
	}
	if int64(len(body)) > max {
		return nil, "", fmt.Errorf("%s %s: %w: more than %d bytes", req.Method, req.URL.Path, trust.ErrTooLarge, max)
	}
	name, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return body, strings.ToLower(strings.TrimSpace(name)), nil
}

// get fetches a small object.
func (c *Client) get(ctx context.Context, path string, max int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	body, _, err := c.exchange(req, max, http.StatusOK)
	return body, err
}

// post sends a message in the device's own form.
func (c *Client) post(ctx context.Context, path string, body []byte, max int64, want int) ([]byte, string, error) {
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	req, err := c.request(ctx, http.MethodPost, path, body)
	if err != nil {
		return nil, "", err
	}
	if c.id.keyed() {
		req.Header.Set("Content-Type", typeCOSE)
	} else {
		// Only here, and only over TLS, does the token leave the device.
		if !c.server.secure() {
			return nil, "", fmt.Errorf("server %s: %w: a token is only sent over https", c.server.URL, trust.ErrUnauthenticated)
		}
		req.Header.Set("Content-Type", typeJSON)
		req.Header.Set("Authorization", "Bearer "+c.id.token)
	}
	return c.exchange(req, max, want)
}
