package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/idp"
	"github.com/secure-ota/secure-ota/internal/logging"
	"github.com/secure-ota/secure-ota/internal/metrics"
	"github.com/secure-ota/secure-ota/internal/periodic"
	"github.com/secure-ota/secure-ota/internal/protocol/native"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/repository"
)

// deviceRecords is how many records of the same words devices bring into the log
// in a minute: enough to see what it is, and never what fills a disk.
const deviceRecords = 60

// A Server serves one data directory. Close it, unless Run was called, which
// does.
type Server struct {
	cfg         Config
	repository  *repository.Repository
	fleet       *fleet.Fleet
	rollouts    *rollout.Engine // over fleet
	management  *api.Service
	device      *native.Handler
	handler     http.Handler
	metrics     *metrics.Metrics
	health      *health
	connections *connections
	certificate tls.Certificate // empty without a TLS listener
	provider    *idp.Provider   // nil: operators have tokens alone
	initial     string          // the first administrator's token, once

	tls, plain, monitor net.Listener // nil until Listen, or if there is none

	stop    context.CancelFunc
	working sync.WaitGroup
	closing sync.Once
}

// New opens the data directory. It does not listen yet.
func New(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, repository: cfg.Repository}
	if s.provider, err = cfg.provider(); err != nil {
		return nil, err
	}
	if s.repository == nil {
		opened := repository.Config{Dir: cfg.Dir, Create: true, Database: cfg.Database, Blobs: cfg.Blobs, Now: cfg.Now}
		if cfg.AuditSigner != nil {
			opened.AuditKey = cfg.AuditSigner.Public()
		}
		if s.repository, err = repository.Open(ctx, opened); err != nil {
			return nil, err
		}
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open server: %w", err), s.closeRepository())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) (err error) {
	secrets := filepath.Join(s.cfg.Dir, repository.SecretsName)
	if s.cfg.TLSAddress != NoTLS {
		if s.certificate, err = s.cfg.certificate(secrets); err != nil {
			return err
		}
	}
	if err := s.agree(ctx); err != nil {
		return err
	}
	ofDevices := logging.Damped(s.cfg.Log, deviceRecords, time.Minute)
	s.rollouts, err = rollout.Open(ctx, fleet.Config{
		Repository: s.repository, Masters: auth.OpenMasters(secrets), Retry: s.cfg.Retry, Log: ofDevices, Now: s.cfg.Now,
	})
	if err != nil {
		return err
	}
	s.fleet = s.rollouts.Fleet()
	managed := api.Config{
		Repository: s.repository, Fleet: s.fleet, Rollouts: s.rollouts, Vendor: s.cfg.Vendor, PublicURL: s.cfg.PublicURL, Fingerprint: s.Fingerprint(),
		AuditSigner: s.cfg.AuditSigner, Log: s.cfg.Log, Now: s.cfg.Now,
	}
	if s.provider != nil {
		managed.Terms = s.provider.Terms()
	}
	s.management = api.NewService(managed)
	s.health = &health{refreshed: s.fleet.Refreshed, now: s.cfg.Now}
	s.health.stored.Store(true) // the fleet was just read from it
	s.health.writable.Store(true)
	s.metrics = metrics.New(s.cfg.Version, s.sources())
	s.boundByFiles()
	s.connections = newConnections(s.cfg, s.metrics)
	s.repository.Store().Observe(s.metrics.Stored)
	s.device = native.New(native.Config{
		Fleet: s.fleet, Repository: s.repository, Log: ofDevices, Now: s.cfg.Now, Stall: s.cfg.Stall, Metrics: s.metrics,
	})
	s.handler = s.routes()
	if err := s.firstToken(ctx); err != nil {
		return errors.Join(err, s.rollouts.Close(ctx))
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.working.Go(func() { periodic.Run(background, checkpointInterval, s.cfg.Log, s.checkpoint) })
	s.working.Go(func() { periodic.Run(background, useInterval, s.cfg.Log, s.management.Operators().WriteUses) })
	s.working.Go(func() { periodic.Run(background, probeInterval, s.cfg.Log, s.probe) })
	s.working.Go(func() { periodic.Run(background, expiryInterval, s.cfg.Log, s.expireUploads) })
	return nil
}

// firstToken makes the first administrator's token where there is none.
func (s *Server) firstToken(ctx context.Context) error {
	operators := s.management.Operators()
	all, err := operators.List(ctx)
	if err != nil || len(all) > 0 {
		return err
	}
	by := auth.Actor{Name: "system", Role: auth.Administrator}
	token, err := operators.Add(ctx, by, auth.NewOperator{Name: "admin", Role: auth.Administrator, Valid: auth.Forever})
	if errors.Is(err, auth.ErrExists) { // another process was first, and shows it
		return nil
	}
	s.initial = token.Reveal()
	return err
}

// InitialToken returns the administrator's token if this start made it, which
// happens once in the life of a data directory. It is stored nowhere.
func (s *Server) InitialToken() (token string, ok bool) { return s.initial, s.initial != "" }

// Fingerprint returns the SHA-256 of the TLS certificate in hex, which clients
// pin; empty without a TLS listener.
func (s *Server) Fingerprint() string {
	if len(s.certificate.Certificate) == 0 {
		return ""
	}
	return fingerprint(s.certificate)
}

// Repository returns the repository that is served.
func (s *Server) Repository() *repository.Repository { return s.repository }

// Management returns the management interface in the hands of a local
// administrator of that name, for programs that run the server themselves.
func (s *Server) Management(name string) api.Management {
	return s.management.As(auth.Actor{Name: "local:" + name, Role: auth.Administrator})
}

// Close writes what waits to be written and closes what New opened. It does
// not wait for requests; Serve does.
func (s *Server) Close(ctx context.Context) (err error) {
	s.closing.Do(func() {
		s.stop()
		s.working.Wait()
		err = errors.Join(s.rollouts.Close(ctx), s.management.Operators().WriteUses(ctx), s.checkpoint(ctx), s.closeRepository())
	})
	return err
}

func (s *Server) closeRepository() error {
	if s.cfg.Repository != nil { // its owner closes it
		return nil
	}
	return s.repository.Close()
}
