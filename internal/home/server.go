package home

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// ErrNoServer means that this home knows no such server.
var ErrNoServer = errors.New("the home has no login to this server")

// ServerConfig is server.json: what "ota serve" serves, and where.
type ServerConfig struct {
	Format       int    `json:"format"`
	Data         string `json:"data"`          // data directory; relative to the home
	TLSAddress   string `json:"tls_address"`   // host:port of the TLS listener, or "none"
	PlainAddress string `json:"plain_address"` // host:port of the listener without TLS; empty: none
	PublicURL    string `json:"public_url"`    // under which devices reach the server; empty: not known

	// Where what is stored is, if not in Data: docs/operations-storage.md.
	Database     string `json:"database,omitempty"`      // URL of a PostgreSQL database, without a password
	DatabaseFile string `json:"database_file,omitempty"` // file that holds the URL, with its password; relative to the home
	Blobs        string `json:"blobs,omitempty"`         // s3://BUCKET/PREFIX?…, or a directory
}

// DefaultServerConfig is what a new home has.
func DefaultServerConfig() ServerConfig {
	return ServerConfig{Format: Format, Data: "server", TLSAddress: ":8443"}
}

// ServerConfig reads server.json. Data is returned as a path that can be opened.
func (h *Home) ServerConfig() (ServerConfig, error) {
	var c ServerConfig
	err := h.readJSON("server.json", &c)
	if errors.Is(err, fs.ErrNotExist) {
		c, err = DefaultServerConfig(), nil
	}
	if err == nil && c.Format != Format {
		err = fmt.Errorf("%w: server.json: format %d", ErrDamaged, c.Format)
	}
	if err != nil {
		return ServerConfig{}, fmt.Errorf("server configuration: %w", err)
	}
	for _, name := range []*string{&c.Data, &c.DatabaseFile} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = h.path(*name)
		}
	}
	return c, nil
}

// SetServerConfig writes server.json.
func (h *Home) SetServerConfig(c ServerConfig) error {
	c.Format = Format
	text, err := encodeJSON(c)
	if err != nil {
		return err
	}
	return h.write(text, "server.json")
}

// A Login is how an operator reaches a server: logins.json, mode 0600.
type Login struct {
	URL         string `json:"url"`
	Fingerprint string `json:"fingerprint"` // SHA-256 of the certificate, in hex; empty: a CA vouches for it
	Token       string `json:"token"`       // the secret
}

// String hides the token.
func (l Login) String() string { return "[login to " + l.URL + "]" }

// GoString hides the token.
func (l Login) GoString() string { return l.String() }

type loginFile struct {
	Format int     `json:"format"`
	Logins []Login `json:"logins"`
}

// Logins returns the servers that this home can reach.
func (h *Home) Logins() ([]Login, error) {
	var f loginFile
	err := h.readJSON("logins.json", &f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && f.Format != Format {
		err = fmt.Errorf("%w: logins.json: format %d", ErrDamaged, f.Format)
	}
	if err != nil {
		return nil, fmt.Errorf("logins: %w", err)
	}
	return f.Logins, nil
}

// Login returns the login to a server (ErrNoServer).
func (h *Home) Login(url string) (Login, error) {
	logins, err := h.Logins()
	if err != nil {
		return Login{}, err
	}
	for _, l := range logins {
		if l.URL == url {
			return l, nil
		}
	}
	return Login{}, fmt.Errorf("%s: %w", url, ErrNoServer)
}

// SetLogin stores a login in place of the one to the same server.
func (h *Home) SetLogin(login Login) error {
	return h.locked(func() error {
		logins, err := h.Logins()
		if err != nil {
			return err
		}
		logins = slices.DeleteFunc(logins, func(l Login) bool { return l.URL == login.URL })
		text, err := encodeJSON(loginFile{Format: Format, Logins: append(logins, login)})
		if err != nil {
			return err
		}
		return fsatomic.WriteFile(h.fsys, h.path("logins.json"), text, 0o600)
	})
}
