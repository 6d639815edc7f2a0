// Package otatest is a complete system for tests: a vendor with keys, a
// repository, a server on a loopback address and devices, in a temporary
// directory that goes when the test does.
//
//	system := otatest.New(t)
//	system.Publish("1.1.0", image)
//	device := system.Device("dev-0001")
//	// … point your client at system.URL with device's keys
package otatest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// The vendor and device type of every System.
const (
	Vendor     = "acme"
	DeviceType = "sensor_v1"
)

// Options change what New makes. The zero value is fine.
type Options struct {
	Config    func(*server.Config) // the last word on the server's configuration
	Algorithm trust.Algorithm      // of all keys; 0: Ed25519, because it is fast to make
	// Wrap is put around the transport of HTTPClient and Remote, to watch what
	// travels; nil: nothing is.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// A System is a vendor with a running server.
type System struct {
	Server      *server.Server
	URL         string // of the TLS listener
	PlainURL    string // of the plain listener
	Fingerprint string // of the server's certificate, to be pinned
	Token       string // of an administrator

	Roots   []*signing.Key // three, of which two must sign
	Release *signing.Key   // of epoch 1
	Keyset  []byte         // version 1, signed
	Keys    trust.KeyRing

	t    testing.TB
	wrap func(http.RoundTripper) http.RoundTripper
	next uint32 // release number
}

// New starts a system that ends with the test.
func New(t testing.TB, options ...Options) *System {
	t.Helper()
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	if o.Algorithm == 0 {
		o.Algorithm = trust.Ed25519
	}
	s := &System{t: t, wrap: o.Wrap}
	s.makeKeys(o.Algorithm)
	s.start(o)
	_, err := s.Management().AddKeyset(t.Context(), trust.Bundle{Keysets: [][]byte{s.Keyset}, Keys: s.Keys})
	s.must(err, "add keyset")
	return s
}

func (s *System) makeKeys(alg trust.Algorithm) {
	s.t.Helper()
	ks := &trust.Keyset{Vendor: Vendor, DeviceType: DeviceType, Version: 1, RootThreshold: 2, ReleaseThreshold: 1}
	s.Keys = trust.KeyRing{}
	generate := func() *signing.Key {
		key, err := signing.Generate(alg)
		s.must(err, "generate key")
		s.Keys[key.Public().ID()] = key.Public()
		return key
	}
	for range 3 {
		root := generate()
		s.Roots = append(s.Roots, root)
		ks.Roots = append(ks.Roots, trust.SignerKey{ID: root.Public().ID(), Algorithm: alg})
	}
	s.Release = generate()
	ks.Releases = []trust.SignerKey{{ID: s.Release.Public().ID(), Algorithm: alg, Epoch: 1}}
	s.Keyset = s.SignKeyset(ks, s.Roots[:2]...)
}

// SignKeyset returns a keyset signed by the keys given.
func (s *System) SignKeyset(ks *trust.Keyset, by ...*signing.Key) []byte {
	s.t.Helper()
	raw, err := trust.UnsignedKeyset(ks)
	s.must(err, "encode keyset")
	for _, key := range by {
		raw, err = trust.SignKeyset(raw, key)
		s.must(err, "sign keyset")
	}
	return raw
}

func (s *System) start(o Options) {
	s.t.Helper()
	audit, err := signing.Generate(trust.Ed25519)
	s.must(err, "generate audit key")
	cfg := server.Config{
		Dir: s.t.TempDir(), TLSAddress: "127.0.0.1:0", PlainAddress: "127.0.0.1:0",
		AuditSigner: audit, Retry: time.Second, Grace: 5 * time.Second,
	}
	cfg.Database, cfg.Blobs = place.Of(s.t, cfg.Dir)
	if o.Config != nil {
		o.Config(&cfg)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	s.Server, err = server.New(ctx, cfg)
	s.must(err, "open server")
	s.must(s.Server.Listen(ctx), "listen")
	ended := make(chan error, 1)
	go func() { ended <- s.Server.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Errorf("otatest: stop server: %v", err)
		}
	})
	s.Fingerprint = s.Server.Fingerprint()
	s.Token, _ = s.Server.InitialToken()
	if addr := s.Server.TLSAddr(); addr != nil {
		s.URL = "https://" + addr.String()
	}
	if addr := s.Server.PlainAddr(); addr != nil {
		s.PlainURL = "http://" + addr.String()
	}
}

// Management returns the management interface in the hands of an
// administrator of this process.
func (s *System) Management() api.Management { return s.Server.Management("otatest") }

// Remote returns the management interface over HTTPS.
func (s *System) Remote() *api.Client {
	s.t.Helper()
	c, err := api.NewClient(api.ClientConfig{URL: s.URL, Token: apiToken(s.Token), Fingerprint: s.Fingerprint, Wrap: s.wrap})
	s.must(err, "make client")
	return c
}

// Manifest returns an unsigned manifest for an image, with the next release
// number.
func (s *System) Manifest(v string, image []byte) *manifest.Manifest {
	s.t.Helper()
	parsed, err := version.Parse(v)
	s.must(err, "parse version")
	s.next++
	m := manifest.New(Vendor, DeviceType, manifest.NewSequence(1, s.next), parsed)
	s.must(m.SetImage(sha256.Sum256(image), int64(len(image))), "name image")
	return m
}

// Publish signs and publishes an image and returns the release.
func (s *System) Publish(v string, image []byte) api.Release {
	s.t.Helper()
	return s.PublishManifest(s.Manifest(v, image), image)
}

// PublishManifest signs a manifest and publishes it with its image.
func (s *System) PublishManifest(m *manifest.Manifest, image []byte) api.Release {
	s.t.Helper()
	raw, err := trust.UnsignedManifest(m)
	s.must(err, "encode manifest")
	raw, err = trust.SignManifest(raw, s.Release)
	s.must(err, "sign manifest")
	ctx := s.t.Context()
	s.must(s.Management().Upload(ctx, m.ImageDigest, int64(len(image)), bytes.NewReader(image), nil), "upload image")
	release, err := s.Management().AddRelease(ctx, trust.Bundle{Manifest: raw})
	s.must(err, "publish")
	return release
}

// Device adds a device with a key and returns what it is given.
func (s *System) Device(id string) server.Provisioning {
	s.t.Helper()
	p, err := s.Server.AddDevice(s.t.Context(), "otatest", server.NewDevice{
		Ref: server.DeviceRef{DeviceType: DeviceType, ID: id},
	})
	s.must(err, "add device")
	return p
}

// TokenDevice adds a device without a key.
func (s *System) TokenDevice(id string) server.Provisioning {
	s.t.Helper()
	p, err := s.Server.AddDevice(s.t.Context(), "otatest", server.NewDevice{
		Ref: server.DeviceRef{DeviceType: DeviceType, ID: id}, Level: server.TokenOnly,
	})
	s.must(err, "add device")
	return p
}

// EnrolmentCode makes a one-time code for any device id.
func (s *System) EnrolmentCode() string {
	s.t.Helper()
	code, err := s.Management().AddEnrolmentCode(s.t.Context(), server.NewCode{DeviceType: DeviceType})
	s.must(err, "add enrolment code")
	return code.Code
}
