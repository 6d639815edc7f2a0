package client

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/secure-ota/secure-ota/internal/agent/bootloader"
	"github.com/secure-ota/secure-ota/internal/agent/journal"
	"github.com/secure-ota/secure-ota/trust"
)

// A Config says what a Client works with. StoragePath and Server are enough.
type Config struct {
	StoragePath string // directory of state, secret and slots, as Provision made it
	Server      Server
	Ops         Ops    // nil: Local in StoragePath, reaching Server
	Loader      Loader // nil: a boot record in the storage, of which Boot is the stage
	Tries       int    // boots of a trial, for the Loader that nil means; 0: three

	// LastReset tells why the device was reset last, if it can: for instance
	// that the watchdog did it. nil: it cannot.
	LastReset func() trust.Reason
}

// A Client is a device. It is not safe for concurrent use, and two processes
// must not use one storage at the same time.
type Client struct {
	server   Server
	ops      Ops
	loader   Loader
	reset    func() trust.Reason
	progress func(Progress)

	id      identity
	journal *journal.Journal
	state   State
	lost    error  // why the state cannot be used; nil: it can
	nonce   uint64 // last one used; those up to state.Nonce are reserved

	keyset     trust.VerifiedKeyset
	keys       trust.KeyRing
	keysetFile int // index in keysetFiles of the held one

	image   *runningImage // read back once per boot
	resumed bool          // state and boot loader agree

	block      int   // bytes written to a slot at a time
	checkpoint int64 // bytes downloaded between two records of how far it came
}

// Sizes of a download, in bytes. A power cut costs at most a checkpoint of it.
const (
	defaultBlock      = 64 << 10
	defaultCheckpoint = 1 << 20
)

// open fills in what a Config leaves out.
func (cfg Config) open() (*Client, error) {
	if cfg.Ops == nil {
		if cfg.StoragePath == "" {
			return nil, errors.New("client: the storage path is missing")
		}
		hc, err := cfg.Server.HTTPClient()
		if err != nil {
			return nil, err
		}
		cfg.Ops = &Local{Dir: cfg.StoragePath, HTTP: hc}
	}
	if cfg.Loader == nil {
		cfg.Loader = bootloader.NewFile(cfg.Ops, cfg.Tries)
	}
	if cfg.LastReset == nil {
		cfg.LastReset = func() trust.Reason { return 0 }
	}
	return &Client{
		server: cfg.Server, ops: cfg.Ops, loader: cfg.Loader, reset: cfg.LastReset, journal: journal.New(cfg.Ops, "state"),
		progress: func(Progress) {}, block: defaultBlock, checkpoint: defaultCheckpoint,
	}, nil
}

// New opens a provisioned device. If its state is lost it still boots, and
// everything that talks to the server returns ErrStateLost; if the state cannot
// be read now, the cause of that.
func New(cfg Config) (*Client, error) {
	c, err := cfg.open()
	if err != nil {
		return nil, err
	}
	c.id, err = readIdentity(c.ops)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the device is not provisioned (`ota-agent enrol` or `ota-agent provision`)", err)
	}
	if err != nil {
		return nil, err
	}
	if !c.id.keyed() && c.server.URL != "" && !c.server.secure() {
		return nil, fmt.Errorf("server %s: %w: a device without a device key needs https", c.server.URL, trust.ErrUnauthenticated)
	}
	if err := c.loadKeyset(); err != nil {
		return nil, err
	}
	c.state, err = c.loadState()
	if err == nil && c.state.Generation != c.id.generation {
		err = fmt.Errorf("%w: it is of key generation %d, the key of %d", ErrStateLost, c.state.Generation, c.id.generation)
	}
	if err != nil {
		// Not even a state that cannot be read is a reason not to boot.
		c.lost, c.state = err, newState()
	}
	// Of a reserved block, those that were used before the reset are not known.
	c.nonce = c.state.Nonce
	return c, nil
}

// State returns what the device remembers.
func (c *Client) State() State { return c.state.clone() }

// Keyset returns the held keyset.
func (c *Client) Keyset() trust.VerifiedKeyset { return c.keyset }

// SetProgressCallback has f called as bytes of an image arrive.
func (c *Client) SetProgressCallback(f func(Progress)) {
	if f == nil {
		f = func(Progress) {}
	}
	c.progress = f
}

// A Progress tells how far a download is.
type Progress struct {
	Version string // of the release
	Done    int64  // bytes in the slot
	Total   int64  // bytes of the image
}
