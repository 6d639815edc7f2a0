package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/console"
	"github.com/secure-ota/secure-ota/internal/idp"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// The defaults of a Config.
const (
	DefaultTLSAddress = ":8443"
	DefaultGrace      = 30 * time.Second

	DefaultMaxConnections           = 4096
	DefaultMaxConnectionsPerAddress = 512
)

// NoTLS is the TLSAddress of a server without a TLS listener.
const NoTLS = "none"

// ErrConfig is wrapped by the refusal of a Config.
var ErrConfig = errors.New("server configuration")

// A Config says what to serve, and where. Only Dir, or Repository, is needed.
type Config struct {
	Dir        string                 // data directory; made if it is missing. Secrets stand in Dir/secrets
	Repository *repository.Repository // already open at Dir, and closed by its owner; nil: opened here
	Database   string                 // empty: SQLite in Dir; or postgres://…, for any number of replicas (docs/operations-storage.md)
	Blobs      string                 // where images are; empty: in Dir; or another directory, or s3://BUCKET/PREFIX?…
	Vendor     string                 // shown to operators; empty: that of the keysets
	PublicURL  string                 // under which devices reach the server, such as https://ota.example.com; empty: not known

	TLSAddress   string // host:port; empty: DefaultTLSAddress; NoTLS: no such listener
	PlainAddress string // host:port; empty: no plain listener
	// MetricsAddress is the host:port of a listener for monitoring, without TLS
	// and without authentication: /metrics, /healthz, /readyz. Give it an address
	// that only the monitoring system reaches. Empty: none; the TLS listener has
	// /metrics for operators.
	MetricsAddress string
	// TrustedProxies are the addresses of reverse proxies, whose X-Forwarded-For
	// and X-Request-Id are believed. Empty: nobody's.
	TrustedProxies []netip.Prefix

	CertFile string // PEM; empty: a certificate of its own, made once, to be pinned by its fingerprint
	KeyFile  string // PEM

	OIDC *idp.Config // who logs operators in beside their tokens; needs PublicURL with https; nil: nobody

	AuditSigner trust.Signer  // signs checkpoints of the audit log; nil: none are made
	Retry       time.Duration // when devices ask again, whole seconds; 0: an hour
	Grace       time.Duration // how long running downloads may take at the end; 0: DefaultGrace
	Stall       time.Duration // a download that makes no progress for so long is cut; 0: a minute

	// MaxConnections is how many connections may be open, of all addresses and
	// of each (an IPv6 /64 is one); 0: the defaults. What is more is answered 503.
	MaxConnections           int
	MaxConnectionsPerAddress int

	Version string           // of the program, for the metrics
	Log     *slog.Logger     // nil: discarded
	Now     func() time.Time // nil: time.Now
}

func (c Config) withDefaults() (Config, error) {
	if c.Repository != nil && c.Dir == "" {
		c.Dir = c.Repository.Dir()
	}
	if c.Dir == "" {
		return c, fmt.Errorf("%w: Dir is missing: name the data directory", ErrConfig)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return c, fmt.Errorf("%w: CertFile and KeyFile go together", ErrConfig)
	}
	if c.TLSAddress == "" {
		c.TLSAddress = DefaultTLSAddress
	}
	if c.TLSAddress == NoTLS && c.PlainAddress == "" {
		return c, fmt.Errorf("%w: no listener: give an address for TLS or a plain one", ErrConfig)
	}
	if c.Retry < 0 || c.Retry%time.Second != 0 || c.Retry > 30*24*time.Hour {
		return c, fmt.Errorf("%w: Retry %s: want whole seconds, at most 30 days", ErrConfig, c.Retry)
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.Path != "" || u.RawQuery != "" || u.User != nil {
			return c, fmt.Errorf("%w: PublicURL %q: want https://HOST or https://HOST:PORT", ErrConfig, c.PublicURL)
		}
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.MaxConnections < 0 || c.MaxConnectionsPerAddress < 0 {
		return c, fmt.Errorf("%w: MaxConnections %d, of each address %d: want 1 or more, or 0 for the defaults",
			ErrConfig, c.MaxConnections, c.MaxConnectionsPerAddress)
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultMaxConnections
	}
	if c.MaxConnectionsPerAddress == 0 {
		c.MaxConnectionsPerAddress = DefaultMaxConnectionsPerAddress
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// provider returns the identity provider, nil if there is none.
func (c Config) provider() (*idp.Provider, error) {
	if c.OIDC == nil {
		return nil, nil
	}
	// The address that people come back to must not be what a request says it is.
	if !strings.HasPrefix(c.PublicURL, "https://") {
		return nil, fmt.Errorf("%w: PublicURL %q: a login by an identity provider needs the https:// address under which browsers reach the console", ErrConfig, c.PublicURL)
	}
	cfg := *c.OIDC
	if cfg.Now == nil {
		cfg.Now = c.Now
	}
	p, err := idp.New(cfg, c.PublicURL+console.CallbackPath)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return p, nil
}

// certificate loads or makes the certificate of the TLS listener.
func (c Config) certificate(secrets string) (tls.Certificate, error) {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	add := func(host string) {
		if host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	if name, err := os.Hostname(); err == nil {
		add(name)
	}
	if u, err := url.Parse(c.PublicURL); err == nil {
		add(u.Hostname())
	}
	if host, _, err := net.SplitHostPort(c.TLSAddress); err == nil {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			add(host)
		}
	}
	return loadCertificate(c.CertFile, c.KeyFile, secrets, hosts, c.Now())
}
