package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/home"
)

// Environment variables that say where a server is, for build machines.
const (
	serverVariable      = "OTA_SERVER"
	tokenVariable       = "OTA_TOKEN"
	fingerprintVariable = "OTA_FINGERPRINT"
)

// A target is what a command manages: a data directory, or a running server.
type target struct {
	env    *env.Env
	data   string // --data
	server string // --server
	create bool   // make the data directory if it is missing

	storage storage // of the data directory
}

func (t *target) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&t.data, "data", "", "the server's data `DIR`, on this machine")
	flags.StringVar(&t.server, "server", "", "the `URL` of a running server (see: ota login)")
	cmd.MarkFlagsMutuallyExclusive("data", "server")
}

// with opens the target, hands it to do, and closes it. An interrupt ends ctx.
func (t *target) with(ctx context.Context, do func(context.Context, api.Management) error) (err error) {
	ctx, stop := interruptible(ctx)
	defer stop()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errInterrupted
		}
	}()
	if err := t.choose(); err != nil {
		return err
	}
	if t.server != "" {
		client, err := t.client()
		if err != nil {
			return err
		}
		return do(ctx, client)
	}
	local, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.Close(context.WithoutCancel(ctx))) }()
	return do(ctx, local)
}

// choose fills in what no flag says: the server of the environment, the only
// one this home is logged in to, or the home's data directory.
func (t *target) choose() error {
	if t.data != "" || t.server != "" {
		return nil
	}
	if t.server = t.env.Getenv(serverVariable); t.server != "" {
		return nil
	}
	h, err := t.env.HomeIfAny()
	if err != nil {
		return err
	}
	if h == nil {
		return exit.Usagef("say which: --data DIR or --server URL")
	}
	logins, err := h.Logins()
	if err != nil {
		return err
	}
	switch len(logins) {
	case 0:
		c, err := h.ServerConfig()
		t.data = c.Data
		return err
	case 1:
		t.server = logins[0].URL
		return nil
	}
	return exit.Usagef("the home is logged in to %d servers: say which with --server URL", len(logins))
}

// client returns a client with the token and the fingerprint of the
// environment; what that does not say, the home's login at the server does.
func (t *target) client() (*api.Client, error) {
	login := home.Login{URL: t.server, Token: t.env.Getenv(tokenVariable), Fingerprint: t.env.Getenv(fingerprintVariable)}
	stored, err := t.login()
	if err != nil && login.Token == "" {
		return nil, err
	}
	if login.Token == "" {
		login = stored
	} else if login.Fingerprint == "" {
		login.Fingerprint = stored.Fingerprint
	}
	return newClient(login)
}

// login returns the home's login at the server.
func (t *target) login() (home.Login, error) {
	h, err := t.env.Home()
	if err != nil {
		return home.Login{}, err
	}
	return h.Login(strings.TrimSuffix(t.server, "/"))
}

func newClient(l home.Login) (*api.Client, error) {
	return api.NewClient(api.ClientConfig{URL: l.URL, Token: auth.Token(l.Token), Fingerprint: l.Fingerprint})
}

// open opens the data directory with the settings of the home, if there is one.
func (t *target) open(ctx context.Context) (*api.Local, error) {
	cfg := api.LocalConfig{Dir: t.data, Create: t.create, User: userName()}
	h, err := t.env.HomeIfAny()
	if err != nil {
		return nil, err
	}
	if h != nil {
		c, err := h.ServerConfig()
		if err != nil {
			return nil, err
		}
		cfg.Vendor, cfg.PublicURL = h.Vendor(), c.PublicURL
	}
	if err := t.storage.fillFor(t.env, t.data); err != nil {
		return nil, err
	}
	cfg.Database, cfg.Blobs = t.storage.database, t.storage.blobs
	if err := checkDir(t.data); err != nil {
		return nil, err
	}
	key, err := loadAuditKey(t.data)
	if err != nil {
		return nil, err
	}
	if key != nil {
		cfg.AuditSigner = key
	}
	return api.OpenLocal(ctx, cfg)
}

// dataDir returns the data directory that a flag names, or that of the home.
func dataDir(e *env.Env, flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	h, err := e.HomeIfAny()
	if err != nil {
		return "", err
	}
	if h == nil {
		return "", exit.Usagef("there is no home: name the data directory with --data")
	}
	c, err := h.ServerConfig()
	return c.Data, err
}

// checkDir refuses a data directory that is none, or out of reach, before a file
// in it is looked for and the error is about that.
func checkDir(data string) error {
	info, err := os.Stat(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is made, or its absence is an error of its own
	}
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: data, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// userName names who runs the command, for the audit log.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid-%d", os.Getuid())
}
