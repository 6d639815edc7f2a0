package api

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// Local is a data directory that a command manages without a server, or beside
// a running one, which sees the changes within a second. Who may open the
// directory is an administrator.
type Local struct {
	Management
	Repository *repository.Repository
	Fleet      *fleet.Fleet
	rollouts   *rollout.Engine
}

// LocalConfig says which data directory.
type LocalConfig struct {
	Dir         string
	Create      bool         // make it if it is missing
	Database    string       // as repository.Config
	Blobs       string       // as repository.Config
	User        string       // for the audit log: who runs the command
	Vendor      string       // as Config
	PublicURL   string       // as Config
	AuditSigner trust.Signer // as Config
}

// OpenLocal opens a data directory.
func OpenLocal(ctx context.Context, cfg LocalConfig) (*Local, error) {
	opened := repository.Config{Dir: cfg.Dir, Create: cfg.Create, Database: cfg.Database, Blobs: cfg.Blobs}
	if cfg.AuditSigner != nil {
		opened.AuditKey = cfg.AuditSigner.Public()
	}
	repo, err := repository.Open(ctx, opened)
	if err != nil {
		return nil, err
	}
	rollouts, err := rollout.Open(ctx, fleet.Config{
		Repository: repo, Masters: auth.OpenMasters(filepath.Join(cfg.Dir, repository.SecretsName)),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data directory %s: %w", cfg.Dir, err), repo.Close())
	}
	service := NewService(Config{
		Repository: repo, Fleet: rollouts.Fleet(), Rollouts: rollouts, Vendor: cfg.Vendor, PublicURL: cfg.PublicURL, AuditSigner: cfg.AuditSigner,
	})
	actor := auth.Actor{Name: "local:" + cfg.User, Role: auth.Administrator}
	return &Local{Management: service.As(actor), Repository: repo, Fleet: rollouts.Fleet(), rollouts: rollouts}, nil
}

// Close closes the data directory.
func (l *Local) Close(ctx context.Context) error {
	return errors.Join(l.rollouts.Close(ctx), l.Repository.Close())
}
