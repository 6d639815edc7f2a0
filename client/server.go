package client

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Server says where the server is and how it is recognised.
type Server struct {
	URL         string // https://host:port; http:// only for a device with a key
	Fingerprint string // SHA-256 of its certificate, 64 hex digits with or without colons; "": checked against a CA
	CA          []byte // PEM certificates to check against; empty: the system's
}

// Time limits of a connection.
const (
	connectTimeout = 15 * time.Second
	headerTimeout  = 30 * time.Second
)

// maxHeader is the longest header of an answer, in bytes: Go's own bound, 10 MB,
// is the whole memory of a small device.
const maxHeader = 16 << 10

// ErrFingerprint is wrapped by the refusal of a server with another certificate
// than the pinned one.
var ErrFingerprint = errors.New("the server's certificate is not the pinned one")

func (s Server) secure() bool { return strings.HasPrefix(s.URL, "https://") }

// check says what is wrong with the URL.
func (s Server) check() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("server URL %q: want https://host:port", s.URL)
	}
	return nil
}

// HTTPClient returns a client that reaches this server and no other: it follows
// no redirects, and with a fingerprint it accepts that one certificate,
// whatever its dates and names, for a device may not know the time.
func (s Server) HTTPClient() (*http.Client, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(s.CA) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(s.CA) {
			return nil, errors.New("server CA: no PEM certificate in it")
		}
	}
	if s.Fingerprint != "" {
		want, err := hex.DecodeString(strings.ReplaceAll(s.Fingerprint, ":", ""))
		if err != nil || len(want) != sha256.Size {
			return nil, fmt.Errorf("server fingerprint %q: want the 64 hex digits that the server prints", s.Fingerprint)
		}
		cfg.InsecureSkipVerify = true // VerifyConnection does it
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			got := sha256.Sum256(cs.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(got[:], want) != 1 {
				return fmt.Errorf("%w: it has SHA-256 %x", ErrFingerprint, got)
			}
			return nil
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       cfg,
			TLSHandshakeTimeout:   connectTimeout,
			ResponseHeaderTimeout: headerTimeout,
			IdleConnTimeout:       time.Minute,
			MaxIdleConns:          2,
			DisableCompression:    true, // the hash is of the bytes as they are stored
			ForceAttemptHTTP2:     true,

			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
