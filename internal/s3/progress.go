package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A stall is what is wrong with a request that makes no progress. It is a
// net.Error.
type stall time.Duration

// Error says for how long.
func (s stall) Error() string {
	return fmt.Sprintf("no byte was taken or came for %s", time.Duration(s))
}

// Timeout implements net.Error.
func (stall) Timeout() bool { return true }

// Temporary implements net.Error.
func (stall) Temporary() bool { return true }

// progress ends a request that stands still: a connection can be open for ever
// while no byte moves on it.
type progress struct {
	ctx    context.Context // of the request
	end    context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
	answer time.Duration // from the last byte that is sent to the first that comes
}

// watch begins to wait for an answer.
func watch(ctx context.Context, stalled, answer time.Duration) *progress {
	p := &progress{stall: stalled, answer: max(stalled, answer)}
	p.ctx, p.end = context.WithCancelCause(ctx)
	p.timer = time.AfterFunc(p.answer, func() { p.end(stall(stalled)) })
	return p
}

// explain returns why the request was ended, and otherwise err.
func (p *progress) explain(err error) error {
	var s stall
	if err != nil && err != io.EOF && errors.As(context.Cause(p.ctx), &s) {
		return s
	}
	return err
}

// stop ends the request.
func (p *progress) stop() {
	p.timer.Stop()
	p.end(nil)
}

// send has req carry a body that is in memory, and notes that it goes.
func (p *progress) send(req *http.Request, body []byte) {
	req.Body, req.ContentLength = http.NoBody, int64(len(body))
	if len(body) == 0 {
		return
	}
	req.GetBody = func() (io.ReadCloser, error) { return &sentBody{bytes.NewReader(body), p}, nil }
	req.Body, _ = req.GetBody() // which does not fail
}

// sentBody is read as fast as the other side takes it.
type sentBody struct {
	r *bytes.Reader
	*progress
}

// sentChunk is how many bytes have to be taken in the time of a stall.
const sentChunk = 64 << 10

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p[:min(len(p), sentChunk)])
	if b.r.Len() > 0 {
		b.timer.Reset(b.stall)
	} else {
		b.timer.Reset(b.answer)
	}
	return n, err
}

func (b *sentBody) Close() error { return nil }

// receivedBody waits for each byte, and not while nobody reads.
type receivedBody struct {
	io.ReadCloser
	*progress
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	defer b.timer.Stop()
	n, err := b.ReadCloser.Read(p)
	return n, b.explain(err)
}

func (b *receivedBody) Close() error {
	defer b.stop()
	return b.ReadCloser.Close()
}
