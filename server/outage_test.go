//go:build unix

package server_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// atOnce fails if f takes long enough for somebody to wait.
func atOnce(t *testing.T, what string, f func() error) error {
	t.Helper()
	start := time.Now()
	err := f()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("%s took %s", what, took)
	}
	return err
}

// soon repeats f until it succeeds.
func soon(t *testing.T, what string, f func() error) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// report sends an authentic report over the plain listener.
func report(t *testing.T, s *otatest.System, p server.Provisioning, nonce uint64) (status int, err error) {
	t.Helper()
	key, err := trust.ParseDeviceKey(p.UpKey)
	if err != nil {
		t.Fatal(err)
	}
	r := trust.Report{Device: p.Device, DeviceType: p.DeviceType, Nonce: nonce, Event: trust.EventFailed, Reason: trust.ErrInternal, ImageDigest: sha256.Sum256(nil)}
	raw, err := r.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(s.PlainURL+"/v1/report", "application/cose", bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

func TestWithoutTheDatabaseWritesAreRefusedAtOnceAndHealWithoutARestart(t *testing.T) {
	db := postgres.Start(t)
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) { c.Database, c.Blobs = db.Database(t), s3.Bucket(t) }})
	image := bytes.Repeat([]byte("firmware"), 10_000)
	release := s.Publish("1.1.0", image)
	device := s.Device("dev-0001")
	if status, err := report(t, s, device, 1); err != nil || status != http.StatusNoContent {
		t.Fatal(status, err)
	}
	for round := range uint64(2) {
		db.Stop()
		for range 5 {
			err := atOnce(t, "a change over the API", func() error { return s.Remote().WithdrawRelease(t.Context(), release.Identity, "x") })
			if !errors.Is(err, api.ErrUnavailable) {
				t.Errorf("a change over the API: %v", err)
			}
			err = atOnce(t, "a report", func() error {
				status, err := report(t, s, device, 10*(round+1))
				if status != http.StatusServiceUnavailable {
					t.Errorf("a report is answered %d, %v", status, err)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			// What was published is still served.
			resp, err := http.Get(s.PlainURL + "/v1/firmware/" + release.ImageDigest.String())
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, image) {
				t.Errorf("a download: %d bytes, status %d, %v", len(got), resp.StatusCode, err)
			}
		}
		db.Restart(t)
		soon(t, "a report with the database back", func() error {
			status, err := report(t, s, device, 10*(round+1))
			if err == nil && status != http.StatusNoContent {
				err = errors.New(http.StatusText(status))
			}
			return err
		})
		soon(t, "a change with the database back", func() error {
			_, err := s.Remote().Releases(t.Context(), otatest.DeviceType)
			return err
		})
	}
	if found, err := s.Server.Repository().Fsck(t.Context()); err != nil || !found.Sound() {
		t.Errorf("%v, %v", found.Problems, err)
	}
}

func TestWithoutTheStoreOfImagesDownloadsGoOnAndUploadsAreRefused(t *testing.T) {
	images := s3.Start(t)
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) { c.Blobs = images.Bucket(t) }})
	image := bytes.Repeat([]byte("firmware"), 1<<20)
	release := s.Publish("1.1.0", image)
	download := func() error {
		resp, err := http.Get(s.PlainURL + "/v1/firmware/" + release.ImageDigest.String())
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err == nil && !bytes.Equal(got, image) {
			err = errors.New("other bytes, " + resp.Status)
		}
		return err
	}
	soon(t, "a download", download)
	images.Stop()
	for range 3 {
		if err := atOnce(t, "a download without the store", download); err != nil {
			t.Errorf("a download without the store: %v", err)
		}
	}
	other := []byte("another image")
	start := time.Now()
	err := s.Management().Upload(t.Context(), sha256.Sum256(other), int64(len(other)), bytes.NewReader(other), nil)
	if !errors.Is(err, repository.ErrUnavailable) {
		t.Errorf("an upload without the store: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s to say so", took)
	}
	images.Restart(t)
	soon(t, "a publication with the store back", func() error {
		return s.Management().Upload(t.Context(), sha256.Sum256(other), int64(len(other)), bytes.NewReader(other), nil)
	})
}
