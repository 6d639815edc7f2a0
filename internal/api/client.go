package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

// ErrFingerprint is wrapped by the refusal of a server whose certificate is
// not the one that is pinned.
var ErrFingerprint = errors.New("the server's certificate does not have the pinned fingerprint")

// ClientConfig says where a server is and how to know it.
type ClientConfig struct {
	URL   string // https://host:port
	Token auth.Token
	// Fingerprint is the SHA-256 of the server's certificate in hex, as `ota
	// serve` prints it. With it, neither name nor issuer nor expiry matter.
	Fingerprint string
	Roots       *x509.CertPool // without a fingerprint; nil: those of the system
	// Wrap is put around the transport, to watch what travels; nil: nothing is.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// A Client manages a server over HTTPS.
type Client struct {
	base  string
	token auth.Token
	http  *http.Client
}

var _ Management = (*Client)(nil)

// NewClient returns a client. It does not connect yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server URL %q: %w: want https://HOST:PORT", cfg.URL, ErrInvalid)
	}
	if u.Scheme != "https" {
		return nil, fmt.Errorf("server URL %q: %w: the token travels over https only", cfg.URL, ErrInvalid)
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}
	if cfg.Fingerprint != "" {
		if err := pin(tlsConfig, cfg.Fingerprint); err != nil {
			return nil, err
		}
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 15 * time.Second,
		ForceAttemptHTTP2:   false, // one stream at a time: HTTP/2 would only cap its window
		IdleConnTimeout:     time.Minute,

		ExpectContinueTimeout: 5 * time.Second,
	}
	var travel http.RoundTripper = transport
	if cfg.Wrap != nil {
		travel = cfg.Wrap(transport)
	}
	return &Client{base: strings.TrimSuffix(u.String(), "/"), token: cfg.Token, http: &http.Client{
		Transport: travel,
		// A redirect would carry the token to another host, which nobody pinned.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// pin accepts one certificate and no other.
func pin(cfg *tls.Config, fingerprint string) error {
	want, err := hex.DecodeString(strings.ToLower(strings.ReplaceAll(fingerprint, ":", "")))
	if err != nil || len(want) != sha256.Size {
		return fmt.Errorf("fingerprint %q: %w: want 64 hex digits", fingerprint, ErrInvalid)
	}
	cfg.InsecureSkipVerify = true // replaced by what follows, which is stricter
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return ErrFingerprint
		}
		got := sha256.Sum256(state.PeerCertificates[0].Raw)
		if subtle.ConstantTimeCompare(got[:], want) != 1 {
			return fmt.Errorf("%w: it has %x", ErrFingerprint, got)
		}
		return nil
	}
	return nil
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// call sends a request and decodes its JSON answer into out, which may be nil.
func (c *Client) call(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return c.do(req, out)
}

func (c *Client) do(req *http.Request, out any) error {
	raw, err := c.send(req)
	if err != nil || out == nil {
		return err
	}
	// A newer server may say more: unknown members are no error here.
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not from an ota server: %w", req.Method, req.URL.Path, err)
	}
	return nil
}

// send sends a request and returns the body of the answer.
func (c *Client) send(req *http.Request) ([]byte, error) {
	what := req.Method + " " + req.URL.Path
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach server: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: read answer: %w", what, err)
	}
	if resp.StatusCode >= 300 {
		return nil, remoteError(what, resp.StatusCode, raw)
	}
	return raw, nil
}

func remoteError(what string, status int, raw []byte) error {
	var p protocol.Problem
	if err := json.Unmarshal(raw, &p); err != nil || p.Error == "" {
		return fmt.Errorf("%s: HTTP status %d, and the answer is not from an ota server", what, status)
	}
	return &RemoteError{Status: status, Code: p.Code, Reason: p.Reason, Words: p.Error, RequestID: p.RequestID}
}

// get, post and postJSON are call in the forms that are needed.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (out T, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return out, c.call(ctx, http.MethodGet, path, "", nil, &out)
}

func post[T any](ctx context.Context, c *Client, path, contentType string, body []byte) (out T, err error) {
	return out, c.call(ctx, http.MethodPost, path, contentType, body, &out)
}

func postJSON[T any](ctx context.Context, c *Client, path string, body any) (out T, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return out, fmt.Errorf("POST %s: %w", path, err)
	}
	return post[T](ctx, c, path, typeJSON, raw)
}

// order is postJSON of which nothing comes back.
func (c *Client) order(ctx context.Context, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	return c.call(ctx, http.MethodPost, path, typeJSON, raw, nil)
}
