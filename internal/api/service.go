package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// Config says what a Service manages.
type Config struct {
	Repository  *repository.Repository
	Fleet       *fleet.Fleet
	Rollouts    *rollout.Engine // over Fleet
	Vendor      string
	PublicURL   string
	Fingerprint string       // of the TLS certificate; empty: unknown here
	AuditSigner trust.Signer // nil: no checkpoints
	Terms       string       // idp.Provider.Terms of whom it logs in; empty: nobody
	Log         *slog.Logger // nil: discarded
	Now         func() time.Time
}

// A Service manages a repository and a fleet that are on this machine.
type Service struct {
	cfg       Config
	operators auth.Operators
	guesses   *guesses
	forbidden *protocol.Limit[string] // records, by actor
	logins    *protocol.Limit[string] // by actor
	turns     turns
}

// NewService returns the service. As makes a Management of it.
func NewService(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{
		cfg: cfg, operators: auth.OpenOperators(cfg.Repository.Store()),
		guesses:   newGuesses(),
		forbidden: protocol.NewLimit[string](forbiddenRate, forbiddenBurst),
		logins:    protocol.NewLimit[string](loginRate, loginBurst),
		turns:     turns{queue: map[queueOf]*turn{}},
	}
}

// Authenticate finds the owner of a token that came with a request. Only
// failures count against an address, but then nobody is let in from it.
func (s *Service) Authenticate(ctx context.Context, token auth.Token, r *http.Request) (auth.Actor, error) {
	addr, now := protocol.Address(r), s.cfg.Now()
	if wait := s.guesses.wait(addr, now); wait > 0 {
		return auth.Actor{}, fmt.Errorf("%w: %w", ErrTooMany, &fleet.RateError{Wait: wait})
	}
	op, err := s.operators.Authenticate(ctx, token)
	if errors.Is(err, auth.ErrUnauthorized) {
		s.guesses.failed(addr, now)
		s.cfg.Fleet.Refused(addr, "operator")
	}
	if err != nil {
		return auth.Actor{}, s.withheld("authenticate", err)
	}
	s.guesses.succeeded(addr, now)
	return op.Actor(r.RemoteAddr), nil
}

// withheld is what a stranger learns of storage that fails, no more than that
// it does: a driver's words name its host, its user and its files.
func (s *Service) withheld(doing string, err error) error {
	code := CodeOf(err)
	if code.Status < http.StatusInternalServerError {
		return err
	}
	s.cfg.Log.Error("api: who asks is not known", "doing", doing, "error", err)
	return fmt.Errorf("%s: %w", doing, code.Err)
}

// Operators returns the tokens by which operators authenticate.
func (s *Service) Operators() auth.Operators { return s.operators }

// As returns the service as the actor may use it.
func (s *Service) As(actor auth.Actor) Management { return local{s, actor} }

// local is a Service in the hands of an actor.
type local struct {
	*Service
	actor auth.Actor
}

var _ Management = local{}

// refused puts the refusal of an authenticated request on record. What was
// refused for want of disk is no refusal.
func (l local) refused(ctx context.Context, action, object string, cause error) error {
	if cause == nil || CodeOf(cause).Status != 422 {
		return cause
	}
	entry := l.actor.Entry("refused."+action, object)
	entry.After = audit.JSON(map[string]any{"reason": trust.ReasonOf(cause), "error": cause.Error()})
	if err := l.cfg.Repository.Store().Change(ctx, entry, nothing); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

func (l local) as() repository.Actor {
	return repository.Actor{Name: l.actor.Name, Address: l.actor.Address}
}

// changed makes what was published visible to devices before the operator
// hears that it is done. It is committed whether this works or not: the fleet
// tries again by itself.
func (l local) changed(ctx context.Context) {
	if err := l.cfg.Fleet.Refresh(ctx); err != nil {
		l.cfg.Log.Error("api: fleet not refreshed, it tries again", "error", err)
	}
}

func (l local) Info(ctx context.Context) (Info, error) {
	if err := l.allowSome(ctx, auth.Viewer, "info"); err != nil {
		return Info{}, err
	}
	types, err := l.cfg.Repository.Types(ctx)
	if err != nil {
		return Info{}, err
	}
	types = slices.DeleteFunc(slices.Clone(types), func(t string) bool { return !l.actor.Scope.Covers(t) })
	info := Info{
		Vendor: l.cfg.Vendor, PublicURL: l.cfg.PublicURL, Fingerprint: l.cfg.Fingerprint,
		DeviceTypes: append([]string{}, types...), Devices: l.countDevices(), Role: l.actor.Role, Actions: l.actor.Scope.Actions,
	}
	if info.Vendor == "" && len(types) > 0 {
		latest, err := l.cfg.Repository.LatestKeyset(ctx, types[0])
		if err != nil {
			return Info{}, err
		}
		info.Vendor = latest.Keyset().Vendor
	}
	if l.cfg.AuditSigner != nil {
		info.AuditKey = l.cfg.AuditSigner.Public().COSEKey()
	}
	return info, nil
}

// UploadState says where an upload stands, and changes nothing.
func (l local) UploadState(ctx context.Context, digest manifest.Digest, size int64) (repository.UploadState, error) {
	if err := l.allowSome(ctx, auth.Publisher, "upload"); err != nil {
		return repository.UploadState{}, err
	}
	state, repo := repository.UploadState{Size: size}, l.cfg.Repository
	image, stored, err := repo.Firmware(ctx, digest)
	if err == nil && stored == size {
		state.Offset, state.Stored = size, true
		return state, image.Close()
	}
	if err == nil {
		err = image.Close()
	}
	if err != nil && !errors.Is(err, repository.ErrNotFound) {
		return state, err
	}
	// No upload stands at -1: the refusal says where it does.
	_, err = repo.ContinueUpload(ctx, digest, -1, http.NoBody)
	var at *repository.UploadOffsetError
	switch {
	case errors.As(err, &at):
		state.Offset = min(at.Want, size)
		return state, nil
	case errors.Is(err, repository.ErrNoImage): // nor has one begun
		return state, nil
	}
	return state, err
}

// UploadPart begins or continues an upload, and verifies the image when it is
// complete.
func (l local) UploadPart(ctx context.Context, digest manifest.Digest, size, offset int64, part io.Reader) (repository.UploadState, error) {
	state, err := l.beginUpload(ctx, digest, size)
	if err != nil || state.Stored {
		return state, err
	}
	state.Offset, err = l.cfg.Repository.ContinueUpload(ctx, digest, offset, part)
	if err != nil || state.Offset < size {
		return state, err
	}
	err = l.cfg.Repository.FinishUpload(ctx, digest)
	state.Stored = err == nil
	return state, l.refused(ctx, "upload", "image:"+digest.String(), err)
}

func (l local) beginUpload(ctx context.Context, digest manifest.Digest, size int64) (repository.UploadState, error) {
	if err := l.allowSome(ctx, auth.Publisher, "upload"); err != nil {
		return repository.UploadState{}, err
	}
	return l.cfg.Repository.BeginUpload(ctx, digest, size)
}

func (l local) Upload(ctx context.Context, digest manifest.Digest, size int64, image io.ReadSeeker, progress func(done, total int64)) error {
	state, err := l.beginUpload(ctx, digest, size)
	if err != nil {
		return err
	}
	if !state.Stored {
		if _, err := image.Seek(state.Offset, io.SeekStart); err != nil {
			return fmt.Errorf("upload %s: %w", digest, err)
		}
		_, err = l.UploadPart(ctx, digest, size, state.Offset, &counter{image, state.Offset, size, progress})
	} else if progress != nil {
		progress(size, size)
	}
	return err
}

// counter tells how much of a reader was read.
type counter struct {
	r           io.Reader
	done, total int64
	progress    func(done, total int64)
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if n > 0 && c.progress != nil {
		c.progress(c.done, c.total)
	}
	return n, err
}

func (l local) CheckRelease(ctx context.Context, bundle trust.Bundle) error {
	if err := l.allow(ctx, auth.Publisher, "release.check", releaseType(bundle)); err != nil {
		return err
	}
	_, err := l.cfg.Repository.CheckRelease(ctx, bundle)
	return l.refused(ctx, "publish", "", err)
}

func (l local) AddRelease(ctx context.Context, bundle trust.Bundle) (Release, error) {
	if err := l.allow(ctx, auth.Publisher, "release.publish", releaseType(bundle)); err != nil {
		return Release{}, err
	}
	if err := l.mayBring(ctx, bundle); err != nil {
		return Release{}, l.refused(ctx, "publish", "", err)
	}
	r, err := l.cfg.Repository.AddRelease(ctx, l.as(), bundle)
	if err != nil {
		return Release{}, l.refused(ctx, "publish", "", err)
	}
	l.changed(ctx)
	return l.releaseOf(ctx, r)
}

func (l local) Releases(ctx context.Context, deviceType string) ([]Release, error) {
	if err := l.allow(ctx, auth.Viewer, "release.list", deviceType); err != nil {
		return nil, err
	}
	types, err := l.types(ctx, deviceType)
	if err != nil {
		return nil, err
	}
	list := []Release{}
	for _, t := range types {
		releases, err := l.cfg.Repository.Versions(ctx, t)
		if err != nil {
			return nil, err
		}
		for _, r := range releases {
			release, err := l.releaseOf(ctx, r)
			if err != nil {
				return nil, err
			}
			list = append(list, release)
		}
	}
	return list, nil
}

// releaseType returns the device type that the manifest of a bundle names,
// which is a claim until the repository has verified it.
func releaseType(bundle trust.Bundle) string {
	m, _, err := trust.ParseManifest(bundle.Manifest)
	if err != nil { // the repository will say so; until then it is of no type that a scope covers
		return ""
	}
	return m.DeviceType
}

// types returns the device type asked for, or all of them.
func (l local) types(ctx context.Context, deviceType string) ([]string, error) {
	if deviceType != "" {
		return []string{deviceType}, nil
	}
	return l.cfg.Repository.Types(ctx)
}

func (l local) Release(ctx context.Context, identity manifest.Digest) (Release, error) {
	if err := l.allowSome(ctx, auth.Viewer, "release.show"); err != nil {
		return Release{}, err
	}
	r, err := l.cfg.Repository.Release(ctx, identity)
	if err != nil {
		return Release{}, err
	}
	if err := l.within(ctx, "release.show", r.Manifest.Manifest().DeviceType); err != nil {
		return Release{}, err
	}
	return l.releaseOf(ctx, r)
}

func (l local) WithdrawRelease(ctx context.Context, identity manifest.Digest, why string) error {
	if err := l.allowSome(ctx, auth.Administrator, "release.withdraw"); err != nil {
		return err
	}
	r, err := l.cfg.Repository.Release(ctx, identity)
	if err != nil {
		return err
	}
	if err := l.within(ctx, "release.withdraw", r.Manifest.Manifest().DeviceType); err != nil {
		return err
	}
	if err := l.cfg.Repository.Withdraw(ctx, l.as(), identity, why); err != nil {
		return err
	}
	l.changed(ctx)
	return nil
}
