package console_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// A scene is a server with a fleet that has a past, for browsers and pictures.
type scene struct {
	*otatest.System
	t      *testing.T
	nonces map[string]uint64
	number map[string]uint32 // of the last release, by type
}

const gatewayType = "gateway_v2"

func newScene(t *testing.T, options ...otatest.Options) *scene {
	t.Helper()
	s := &scene{otatest.New(t, options...), t, map[string]uint64{}, map[string]uint32{}}
	raw := s.SignKeyset(&trust.Keyset{
		Vendor: otatest.Vendor, DeviceType: gatewayType, Version: 1, RootThreshold: 2, ReleaseThreshold: 1,
		Roots: []trust.SignerKey{
			{ID: s.Roots[0].Public().ID(), Algorithm: trust.Ed25519}, {ID: s.Roots[1].Public().ID(), Algorithm: trust.Ed25519},
			{ID: s.Roots[2].Public().ID(), Algorithm: trust.Ed25519},
		},
		Releases: []trust.SignerKey{{ID: s.Release.Public().ID(), Algorithm: trust.Ed25519, Epoch: 1}},
	}, s.Roots[:2]...)
	if _, err := s.Management().AddKeyset(t.Context(), trust.Bundle{Keysets: [][]byte{raw}, Keys: s.Keys}); err != nil {
		t.Fatal(err)
	}
	return s
}

// sign returns a signed manifest of the next release of a type, its document
// and its image.
func (s *scene) sign(deviceType, v, notes string, cves ...string) (raw, doc, image []byte) {
	s.t.Helper()
	parsed, err := version.Parse(v)
	if err != nil {
		s.t.Fatal(err)
	}
	s.number[deviceType]++
	image = bytes.Repeat([]byte(deviceType+" "+v+" "), 12_000)
	m := manifest.New(otatest.Vendor, deviceType, manifest.NewSequence(1, s.number[deviceType]), parsed)
	if err := m.SetImage(sha256.Sum256(image), int64(len(image))); err != nil {
		s.t.Fatal(err)
	}
	if len(cves) > 0 {
		m.Flags |= manifest.FlagSecurity
	}
	if doc, m.ReleaseDigest, err = (manifest.Document{Notes: notes, CVEs: cves}).Encode(); err == nil {
		raw, err = trust.UnsignedManifest(m)
	}
	if err == nil {
		raw, err = trust.SignManifest(raw, s.Release)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return raw, doc, image
}

func (s *scene) publish(deviceType, v, notes string, cves ...string) api.Release {
	s.t.Helper()
	raw, doc, image := s.sign(deviceType, v, notes, cves...)
	ctx := s.t.Context()
	err := s.Management().Upload(ctx, sha256.Sum256(image), int64(len(image)), bytes.NewReader(image), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := s.Management().AddRelease(ctx, trust.Bundle{Manifest: raw, ReleaseDocument: doc})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *scene) add(deviceType, id string, labels map[string]string) {
	s.t.Helper()
	_, err := s.Server.AddDevice(s.t.Context(), "user:ann", server.NewDevice{
		Ref: server.DeviceRef{DeviceType: deviceType, ID: id}, HardwareRevision: "rev-b", Labels: labels,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) nonce(id string) uint64 {
	s.nonces[id]++
	return s.nonces[id]
}

// check lets a device ask, running something, and returns whether it was
// offered a release.
func (s *scene) check(deviceType, id string, runs api.Release, boot trust.BootState) (offered bool) {
	s.t.Helper()
	resp, err := s.Server.CheckForUpdates(s.t.Context(), trust.CheckRequest{
		Device: id, DeviceType: deviceType, Nonce: s.nonce(id), Sequence: runs.Sequence, ImageDigest: runs.ImageDigest,
		KeysetVersion: 1, Boot: boot, HardwareRevision: "rev-b",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return !resp.ManifestHash.IsZero()
}

func (s *scene) report(deviceType, id string, event trust.Event, runs, target api.Release, reason trust.Reason, detail string) {
	s.t.Helper()
	err := s.Server.RecordUpdate(s.t.Context(), trust.Report{
		Device: id, DeviceType: deviceType, Nonce: s.nonce(id), Event: event, Sequence: runs.Sequence, ImageDigest: runs.ImageDigest,
		Target: target.ManifestHash, Reason: reason, Detail: detail,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// update takes a device to a release that it was offered.
func (s *scene) update(deviceType, id string, from, to api.Release) {
	s.t.Helper()
	s.report(deviceType, id, trust.EventDownloading, from, to, 0, "")
	s.report(deviceType, id, trust.EventInstalled, from, to, 0, "")
	s.report(deviceType, id, trust.EventTrial, to, to, 0, "")
	s.report(deviceType, id, trust.EventConfirmed, to, to, 0, "")
}

var sites = []string{"berlin", "oslo", "porto", "lyon"}

// A past is what has happened to a scene's fleet.
type past struct {
	old, now, next, gateway api.Release
	sensors                 []string
	runs                    map[string]bool // sensors that took the next release, or are about to
}

// populate gives the scene a fleet of so many sensors and a few gateways, most
// of them on 1.1.0, and a type that waits for rollouts.
func (s *scene) populate(sensors int) past {
	s.t.Helper()
	p := past{old: s.publish(otatest.DeviceType, "1.0.0", "First release."), runs: map[string]bool{}}
	p.gateway = s.publish(gatewayType, "4.2.1", "Fewer reconnects.")
	for i := range sensors {
		id := fmt.Sprintf("sn-%04d", 1000+i*7)
		p.sensors = append(p.sensors, id)
		ring := "fleet"
		if i%20 == 0 {
			ring = "canary"
		}
		s.add(otatest.DeviceType, id, map[string]string{"site": sites[i%len(sites)], "ring": ring})
		if i%29 != 28 {
			s.check(otatest.DeviceType, id, p.old, trust.BootConfirmed)
		}
	}
	p.now = s.publish(otatest.DeviceType, "1.1.0", "Measures every minute.\nNew: frost alarm.")
	for i, id := range p.sensors {
		switch {
		case i%29 == 28: // never seen
		case i%9 == 8:
			s.check(otatest.DeviceType, id, p.old, trust.BootConfirmed)
			s.report(otatest.DeviceType, id, trust.EventReverted, p.old, p.now, 33, "exit status 1")
		default:
			s.check(otatest.DeviceType, id, p.old, trust.BootConfirmed)
			s.update(otatest.DeviceType, id, p.old, p.now)
		}
	}
	for i := range 8 {
		id := fmt.Sprintf("gw-%02d", i+1)
		s.add(gatewayType, id, map[string]string{"site": sites[i%len(sites)]})
		s.check(gatewayType, id, p.gateway, trust.BootConfirmed)
		s.report(gatewayType, id, trust.EventConfirmed, p.gateway, p.gateway, 0, "")
	}
	settings := rollout.TypeSettings{DeviceType: otatest.DeviceType, Offer: rollout.Rollouts, SupportEnd: time.Now().AddDate(0, 2, 0)}
	if _, err := s.Management().SetDeviceType(s.t.Context(), settings); err != nil {
		s.t.Fatal(err)
	}
	p.next = s.publish(otatest.DeviceType, "1.2.0", "Fixes the clock after a leap second.\nThe radio sleeps longer: a tenth more battery.", "CVE-2026-20113", "CVE-2026-20114")
	return p
}

// spring starts a rollout of the next release that has come half way.
func (s *scene) spring(p past) {
	s.t.Helper()
	ctx, m := s.t.Context(), s.Management()
	spec := rollout.Spec{
		Name: "spring", DeviceType: otatest.DeviceType, Release: p.next.Identity, Note: "As agreed on Monday.",
		Stages: []rollout.Stage{{Filter: "label.ring=canary"}, {Percent: 25, Gate: true}, {Percent: 100, Soak: rollout.Duration(24 * time.Hour)}},
	}
	if _, err := m.CreateRollout(ctx, spec); err != nil {
		s.t.Fatal(err)
	}
	if _, err := m.ActOnRollout(ctx, spec.Name, rollout.Start, ""); err != nil {
		s.t.Fatal(err)
	}
	// The canaries first; then, of those in the second stage, some are quick and
	// some are on the way.
	for range 2 {
		time.Sleep(1500 * time.Millisecond) // the engine opens the next stage
		for i, id := range p.sensors {
			if i%29 == 28 || i%9 == 8 || p.runs[id] || !s.check(otatest.DeviceType, id, p.now, trust.BootConfirmed) {
				continue
			}
			if p.runs[id] = true; i%20 == 0 || i%5 < 2 {
				s.update(otatest.DeviceType, id, p.now, p.next)
			} else if i%5 == 2 {
				s.report(otatest.DeviceType, id, trust.EventDownloading, p.now, p.next, 0, "")
			} else if i%5 == 3 {
				s.report(otatest.DeviceType, id, trust.EventTrial, p.next, p.next, 0, "")
			}
		}
	}
}
