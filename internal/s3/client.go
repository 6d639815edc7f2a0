package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Limits of a conversation. It fails soon where nobody answers, so that what is
// asked for next finds its way around it.
const (
	dialTimeout  = 3 * time.Second
	stallTimeout = 15 * time.Second // without a byte that is taken, or comes
	joinTimeout  = 60 * time.Second // until the answer begins where a large upload is put together meanwhile
	tries        = 3
	firstPause   = 100 * time.Millisecond // between two tries, doubled each time
)

// A Config says which bucket, and who asks.
type Config struct {
	Endpoint    *url.URL // of the store: https://HOST; paths begin with the bucket
	Region      string
	Bucket      string
	Credentials *Credentials
	Stall       time.Duration // a request that makes no progress for so long is given up; 0: 15 s
}

// A Client works on one bucket. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
	now  func() time.Time
}

// New returns a client. It connects when it is used.
func New(cfg Config) *Client {
	if cfg.Stall == 0 {
		cfg.Stall = stallTimeout
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return &Client{cfg: cfg, now: time.Now, http: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout,
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
			DisableCompression: true, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a signature holds for one host
	}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A request is what all tries have in common.
type request struct {
	method string
	key    string // of an object; empty: the bucket
	query  url.Values
	header http.Header
	body   []byte
	answer time.Duration // how long the answer may take to begin; 0: as long as anything else
}

// do sends a request and returns an answer of status 2xx, whose body the caller
// closes.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	var last error
	for try := range tries {
		if try > 0 {
			pause := firstPause << (try - 1)
			select {
			case <-ctx.Done():
				return nil, errors.Join(last, ctx.Err())
			case <-time.After(pause/2 + rand.N(pause)):
			}
		}
		resp, err := c.send(ctx, r)
		if err == nil {
			return resp, nil
		}
		last = fmt.Errorf("S3: %s %s: %w", r.method, c.nameOf(r), err)
		if ctx.Err() != nil || !worthRetrying(err) {
			break
		}
	}
	return nil, last
}

// discard is do for a request whose answer says nothing more.
func (c *Client) discard(ctx context.Context, r request) error {
	resp, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
}

func (c *Client) nameOf(r request) string { return c.cfg.Bucket + "/" + r.key }

func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	secret, err := c.cfg.Credentials.get()
	if err != nil {
		return nil, err
	}
	target := *c.cfg.Endpoint
	target.Path = "/" + c.cfg.Bucket
	if r.key != "" {
		target.Path += "/" + r.key
	}
	target.RawPath = encodePath(target.Path)
	target.RawQuery = encodeQuery(r.query)
	p := watch(ctx, c.cfg.Stall, r.answer)
	resp, err := c.exchange(p, r, target.String(), secret)
	if err != nil {
		p.stop()
		return nil, p.explain(err)
	}
	resp.Body = &receivedBody{resp.Body, p}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer drain(resp)
	return nil, readError(resp)
}

// exchange sends a request and waits until the answer begins.
func (c *Client) exchange(p *progress, r request, target string, secret secret) (*http.Response, error) {
	req, err := http.NewRequestWithContext(p.ctx, r.method, target, nil)
	if err != nil {
		return nil, err
	}
	p.send(req, r.body)
	for name, values := range r.header {
		req.Header[name] = values
	}
	sum := sha256.Sum256(r.body)
	sign(req, secret, c.cfg.Region, hex.EncodeToString(sum[:]), c.now())
	defer p.timer.Stop()
	return c.http.Do(req)
}
