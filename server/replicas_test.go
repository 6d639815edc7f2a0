package server_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// sharedSystem is a system on PostgreSQL and S3, and the configuration of
// further replicas.
func sharedSystem(t *testing.T) (*otatest.System, server.Config) {
	t.Helper()
	var cfg server.Config
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) {
		c.Database, c.Blobs = postgres.Database(t), s3.Bucket(t)
		cfg = *c
	}})
	return s, cfg
}

// replica starts another server on what the first one stores, with its secrets.
func replica(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	first := cfg.Dir
	cfg.Dir = t.TempDir()
	copySecrets(t, first, cfg.Dir)
	s, _, _ := startServer(t, cfg)
	return s
}

// copySecrets gives a data directory the secrets of another one.
func copySecrets(t *testing.T, from, to string) {
	t.Helper()
	dir := filepath.Join(to, "secrets")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(from, "secrets"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// checkAs checks for updates with the next nonce.
func checkAs(t *testing.T, s *server.Server, nonce uint64, running trust.CheckRequest) trust.CheckResponse {
	t.Helper()
	running.Device, running.DeviceType, running.Nonce, running.KeysetVersion = "dev-0001", otatest.DeviceType, nonce, 1
	answer, err := s.CheckForUpdates(t.Context(), running)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestWhatOneReplicaChangesTheOtherAnswersWithinASecond(t *testing.T) {
	a, cfg := sharedSystem(t)
	if _, err := a.Server.AddDevice(t.Context(), "test", server.NewDevice{Ref: server.DeviceRef{DeviceType: otatest.DeviceType, ID: "dev-0001"}}); err != nil {
		t.Fatal(err)
	}
	b := replica(t, cfg)
	nonce := uint64(0)
	factory := trust.CheckRequest{ImageDigest: sha256.Sum256([]byte("factory"))}
	within := func(what string, offered bool) {
		t.Helper()
		start := time.Now()
		for {
			nonce++
			if checkAs(t, b, nonce, factory).ManifestHash.IsZero() != offered {
				break
			}
			if time.Since(start) > 5*time.Second {
				t.Fatalf("%s is not seen", what)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s was seen after %s", what, took)
		}
	}
	image := bytes.Repeat([]byte("firmware"), 1<<10)
	release := a.Publish("1.1.0", image)
	within("a publication", true)
	stream, size, err := b.FirmwareDownload(t.Context(), sha256.Sum256(image), 1000)
	if err != nil || size != int64(len(image)) {
		t.Fatal(size, err)
	}
	defer stream.Close()
	if got, err := io.ReadAll(stream); err != nil || !bytes.Equal(got, image[1000:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, ok := stream.(*os.File); !ok {
		t.Errorf("%T: sendfile needs an *os.File", stream)
	}
	if err := a.Management().WithdrawRelease(t.Context(), release.Identity, "bug"); err != nil {
		t.Fatal(err)
	}
	within("a withdrawal", false)
}

// A check that one replica has answered, and that was followed by another
// state of the device, changes nothing when it is played to the other replica
// before that one has heard of it.
func TestARecordingPlayedToTheOtherReplicaChangesNothing(t *testing.T) {
	a, cfg := sharedSystem(t)
	ref := server.DeviceRef{DeviceType: otatest.DeviceType, ID: "dev-0001"}
	if _, err := a.Server.AddDevice(t.Context(), "test", server.NewDevice{Ref: ref}); err != nil {
		t.Fatal(err)
	}
	b := replica(t, cfg)
	running := func(image string) trust.CheckRequest {
		return trust.CheckRequest{ImageDigest: sha256.Sum256([]byte(image))}
	}
	factory, old, next := running("factory"), running("old"), running("next")
	for round := range uint64(6) {
		nonce := 10 * (round + 1)
		checkAs(t, a.Server, nonce, factory)
		if err := b.Refresh(t.Context()); err != nil { // and may be the last that it hears
			t.Fatal(err)
		}
		checkAs(t, a.Server, nonce+1, old)
		checkAs(t, a.Server, nonce+2, next)
		checkAs(t, b, nonce+1, old) // the recording
		for _, s := range []*server.Server{a.Server, b} {
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d, err := s.Management("test").Device(t.Context(), ref); err != nil || d.Installed.Digest != next.ImageDigest {
				t.Fatalf("round %d: the device is said to run %+v, %v", round, d.Installed, err)
			}
		}
	}
}

func TestAReplicaWithOtherSecretsDoesNotBegin(t *testing.T) {
	a, cfg := sharedSystem(t)
	if _, err := a.Server.AddDevice(t.Context(), "test", server.NewDevice{Ref: server.DeviceRef{DeviceType: otatest.DeviceType, ID: "dev-0001"}}); err != nil {
		t.Fatal(err)
	}
	first := cfg.Dir
	cfg.Dir, cfg.TLSAddress = t.TempDir(), "127.0.0.1:0"
	if _, err := server.New(t.Context(), cfg); !errors.Is(err, auth.ErrOtherSecret) {
		t.Errorf("with a certificate of its own: %v", err)
	}
	cfg.TLSAddress, cfg.PlainAddress = server.NoTLS, "127.0.0.1:0"
	if _, err := server.New(t.Context(), cfg); !errors.Is(err, auth.ErrOtherSecret) {
		t.Errorf("without the fleet master: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.Dir, "secrets")); err != nil {
		t.Fatal(err)
	}
	copySecrets(t, first, cfg.Dir)
	startServer(t, cfg)
}

func TestTwoReplicasThatMeetATypeAtOnceMakeOneMaster(t *testing.T) {
	a, cfg := sharedSystem(t)
	b := replica(t, cfg)
	results := make(chan error, 2)
	for i, s := range []*server.Server{a.Server, b} {
		go func() {
			_, err := s.AddDevice(t.Context(), "test", server.NewDevice{Ref: server.DeviceRef{DeviceType: otatest.DeviceType, ID: []string{"left", "right"}[i]}})
			results <- err
		}()
	}
	failed := 0
	for range 2 {
		if err := <-results; errors.Is(err, auth.ErrOtherSecret) {
			failed++
		} else if err != nil {
			t.Error(err)
		}
	}
	if failed != 1 {
		t.Errorf("%d of two replicas were refused, want 1", failed)
	}
}
