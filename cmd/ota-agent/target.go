package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/agent"
)

// defaultStorage is where a device keeps its state unless something else is said.
const defaultStorage = "/var/lib/ota-agent"

// A target is the server, and the storage, of a device to be.
type target struct {
	server, fingerprint, ca, storage string
}

func (t *target) flags(fs *flag.FlagSet) {
	fs.StringVar(&t.server, "server", "", "`URL` of the server")
	fs.StringVar(&t.fingerprint, "fingerprint", "", "SHA-256 of the server's certificate, in `HEX`")
	fs.StringVar(&t.ca, "ca", "", "`FILE` with CA certificates for the server, PEM")
	fs.StringVar(&t.storage, "storage", "", "`DIR` of the device's state (default "+defaultStorage+")")
}

// config returns the configuration that exists, or a new one, with what the
// flags say.
func (t target) config(env *environment) (agent.Config, error) {
	cfg, err := agent.LoadConfig(env.config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cfg, err
	}
	cfg.Server = cmp.Or(t.server, cfg.Server)
	if cfg.Server == "" {
		return cfg, fmt.Errorf("%w: --server is missing", errUsage)
	}
	if t.fingerprint != "" || t.ca != "" {
		cfg.Fingerprint, cfg.CAFile = t.fingerprint, t.ca
	}
	cfg.Storage = cmp.Or(t.storage, cfg.Storage, defaultStorage)
	// The daemon may be started in another directory.
	for _, path := range []*string{&cfg.Storage, &cfg.CAFile} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return cfg, err
		}
	}
	return cfg, cfg.Validate()
}
