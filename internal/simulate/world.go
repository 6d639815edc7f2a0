package simulate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

const vendor = "simulated"

// The versions that the devices run at first, and that they are to run.
const (
	oldVersion = "1.0.0"
	newVersion = "1.1.0"
)

// actor is in whose name the devices are made.
var actor = auth.Actor{Name: "simulation", Role: auth.Administrator}

// A world is a server of the simulation's own, with a vendor's keys, in a
// temporary directory.
type world struct {
	cfg      Config
	dir      string
	server   *server.Server
	ended    chan error
	stop     context.CancelFunc
	releases []*signing.Key // by device type
	derivers []*trust.KeyDeriver
}

// newWorld makes a server with the simulation's devices, and starts it.
func newWorld(ctx context.Context, s *simulation) (w *world, err error) {
	w = &world{cfg: s.cfg}
	if w.dir, err = os.MkdirTemp("", "ota-simulate-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := w.found(ctx, s.images); err != nil {
		return nil, err
	}
	if err := w.populate(ctx, s.images); err != nil {
		return nil, err
	}
	if err := w.serve(ctx); err != nil {
		return nil, err
	}
	s.server = &url.URL{Scheme: "http", Host: w.server.PlainAddr().String()}
	s.identity = w.identity
	for i := range s.devices {
		s.devices[i].runs = uint16(1 + i%s.cfg.Types)
	}
	return w, nil
}

// found publishes keysets and first releases.
func (w *world) found(ctx context.Context, images *images) error {
	s, err := w.open(ctx)
	if err != nil {
		return err
	}
	m := s.Management(actor.Name)
	for i := range w.cfg.Types {
		if err = w.foundType(ctx, m, i); err != nil {
			break
		}
		var signed []byte
		if _, signed, err = w.publish(ctx, m, i, oldVersion); err != nil {
			break
		}
		if _, err = images.learn(sha256.Sum256(signed), signed); err != nil {
			break
		}
	}
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// open opens the server without a listener for TLS: everything is on loopback.
// We are the proxy that speaks for the devices, which gives each its address.
func (w *world) open(ctx context.Context) (*server.Server, error) {
	return server.New(ctx, server.Config{
		Dir: w.dir, TLSAddress: server.NoTLS, PlainAddress: "127.0.0.1:0", Retry: max(w.cfg.Every.Truncate(1e9), 1e9), Log: w.cfg.Log,
		MaxConnections: 2 * w.cfg.Connections, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
}

func deviceType(i int) string { return fmt.Sprintf("type-%02d", i) }

// foundType makes a device type's keys and publishes its keyset.
func (w *world) foundType(ctx context.Context, m api.Management, i int) error {
	root, err := signing.Generate(trust.Ed25519)
	if err != nil {
		return err
	}
	release, err := signing.Generate(trust.Ed25519)
	if err != nil {
		return err
	}
	raw, err := trust.UnsignedKeyset(&trust.Keyset{
		Vendor: vendor, DeviceType: deviceType(i), Version: 1, RootThreshold: 1, ReleaseThreshold: 1,
		Roots:    []trust.SignerKey{{ID: root.Public().ID(), Algorithm: trust.Ed25519}},
		Releases: []trust.SignerKey{{ID: release.Public().ID(), Algorithm: trust.Ed25519, Epoch: 1}},
	})
	if err == nil {
		raw, err = trust.SignKeyset(raw, root)
	}
	if err != nil {
		return err
	}
	w.releases = append(w.releases, release)
	_, err = m.AddKeyset(ctx, trust.Bundle{Keysets: [][]byte{raw}, Keys: trust.NewKeyRing(root.Public(), release.Public())})
	return err
}

// publish signs and publishes a version for a device type.
func (w *world) publish(ctx context.Context, m api.Management, i int, text string) (api.Release, []byte, error) {
	v, err := version.Parse(text)
	if err != nil {
		return api.Release{}, nil, err
	}
	body := bytes.Repeat([]byte(deviceType(i)+" "+text+" "), w.cfg.ImageSize/8+1)[:w.cfg.ImageSize]
	number := uint32(1)
	if text == newVersion {
		number = 2
	}
	signed, err := w.sign(i, manifest.New(vendor, deviceType(i), manifest.NewSequence(1, number), v), body)
	if err != nil {
		return api.Release{}, nil, err
	}
	if err := m.Upload(ctx, sha256.Sum256(body), int64(len(body)), bytes.NewReader(body), nil); err != nil {
		return api.Release{}, nil, err
	}
	release, err := m.AddRelease(ctx, trust.Bundle{Manifest: signed})
	return release, signed, err
}

func (w *world) sign(i int, m *manifest.Manifest, body []byte) ([]byte, error) {
	if err := m.SetImage(sha256.Sum256(body), int64(len(body))); err != nil {
		return nil, err
	}
	raw, err := trust.UnsignedManifest(m)
	if err != nil {
		return nil, err
	}
	return trust.SignManifest(raw, w.releases[i])
}

// populate makes the devices, which run the first release of their type.
func (w *world) populate(ctx context.Context, images *images) (err error) {
	repo, err := repository.Open(ctx, repository.Config{Dir: w.dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	masters := auth.OpenMasters(filepath.Join(w.dir, repository.SecretsName))
	f, err := fleet.Open(ctx, fleet.Config{Repository: repo, Masters: masters})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(context.WithoutCancel(ctx))) }()
	made := 0
	for i := range w.cfg.Types {
		count := (w.cfg.Devices - i + w.cfg.Types - 1) / w.cfg.Types
		runs := images.at(uint16(1 + i))
		runs.devices.Store(int64(count))
		err := f.Populate(ctx, actor, deviceType(i), count, func(n int) fleet.Seed {
			if made++; made%1000 == 0 && w.cfg.Show != nil {
				w.cfg.Show(Progress{Phase: "making devices", Done: float64(made), Total: float64(w.cfg.Devices)})
			}
			return fleet.Seed{
				NewDevice: fleet.NewDevice{
					Ref: fleet.Ref{DeviceType: deviceType(i), ID: deviceID(n*w.cfg.Types + i)}, Level: fleet.Keyed,
					Labels: map[string]string{"site": fmt.Sprint("site-", n%20)},
				},
				Installed: fleet.Running{Sequence: runs.sequence, Digest: runs.digest}, KeysetVersion: 1,
			}
		})
		if err != nil {
			return err
		}
		deriver, err := masters.Deriver(deviceType(i))
		if err != nil {
			return err
		}
		w.derivers = append(w.derivers, deriver)
	}
	return nil
}

func deviceID(i int) string { return fmt.Sprintf("sim-%07d", i) }

func (w *world) identity(i uint32) (trust.DeviceID, trust.DeviceKeys, error) {
	n := int(i) % w.cfg.Types
	id := trust.DeviceID{Vendor: vendor, DeviceType: deviceType(n), ID: deviceID(int(i))}
	keys, err := w.derivers[n].DeviceKeys(id, 1)
	return id, keys, err
}

func (w *world) serve(ctx context.Context) (err error) {
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	if w.server, err = w.open(ctx); err != nil {
		return err
	}
	if err := w.server.Listen(ctx); err != nil {
		return errors.Join(err, w.server.Close(ctx))
	}
	w.ended = make(chan error, 1)
	go func() { w.ended <- w.server.Run(ctx) }()
	return nil
}

// update publishes the new release of each type when its time comes, and
// starts its rollout if there is to be one.
func (w *world) update(ctx context.Context, after time.Duration) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(after):
	}
	// To its end, even if the time is over meanwhile.
	ctx, m := context.WithoutCancel(ctx), w.server.Management(actor.Name)
	for i := range w.cfg.Types {
		if len(w.cfg.Stages) > 0 {
			if _, err := m.SetDeviceType(ctx, rollout.TypeSettings{DeviceType: deviceType(i), Offer: rollout.Rollouts}); err != nil {
				return err
			}
		}
		release, _, err := w.publish(ctx, m, i, newVersion)
		if err != nil {
			return err
		}
		if len(w.cfg.Stages) > 0 {
			if err := w.roll(ctx, m, i, release); err != nil {
				return err
			}
		}
	}
	return w.server.Refresh(ctx)
}

func rolloutName(i int) string { return "update-" + deviceType(i) }

func (w *world) roll(ctx context.Context, m api.Management, i int, release api.Release) error {
	spec := rollout.Spec{
		Name: rolloutName(i), DeviceType: deviceType(i), Release: release.Identity,
		Timeout: rollout.Duration(max(3*w.cfg.Every, 30*time.Second)),
	}
	for _, percent := range w.cfg.Stages {
		spec.Stages = append(spec.Stages, rollout.Stage{Percent: percent})
	}
	if _, err := m.CreateRollout(ctx, spec); err != nil {
		return err
	}
	_, err := m.ActOnRollout(ctx, spec.Name, rollout.Start, "simulation")
	return err
}

// rollouts says how they went.
func (w *world) rollouts(ctx context.Context) ([]Rollout, error) {
	if len(w.cfg.Stages) == 0 {
		return nil, nil
	}
	var list []Rollout
	for i := range w.cfg.Types {
		r, err := w.server.Management(actor.Name).Rollout(ctx, rolloutName(i))
		if errors.Is(err, rollout.ErrNotFound) { // the time was over before
			continue
		}
		if err != nil {
			return nil, err
		}
		p := r.Progress
		list = append(list, Rollout{
			Name: r.Name, State: string(r.State), Target: p.Target, Touched: p.Touched, Confirmed: p.Confirmed,
			Failed: p.Failed + p.Reverted + p.Refused + p.TimedOut, Waits: p.Waits,
		})
	}
	return list, nil
}

// close ends the server and removes its directory.
func (w *world) close() {
	if w.ended != nil {
		w.stop()
		<-w.ended
	}
	os.RemoveAll(w.dir)
}
