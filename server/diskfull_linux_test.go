package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
)

// smallDisk returns a directory on a file system of its own, and what fills it
// to the last byte. It needs root.
func smallDisk(t *testing.T) (dir string, fill func() (free func())) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=80m"); err != nil {
		t.Skipf("mounting a small file system is not allowed here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	return filepath.Join(disk, "data"), func() func() {
		name := filepath.Join(disk, "filler")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, size := range []int{1 << 20, 512} {
			for err = nil; err == nil; _, err = f.Write(make([]byte, size)) {
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		}
		return func() {
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		}
	}
}

// A disk that is really full: devices are served, changes and reports are
// refused with what is wrong, monitoring is told, and all of it heals when there
// is room again. A server that is started meanwhile does the same.
func TestAFullDiskIsToldAndHeals(t *testing.T) {
	dir, fill := smallDisk(t)
	var log lockedBuffer
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) {
		c.Dir, c.Blobs, c.Log = dir, "", slog.New(slog.NewTextHandler(&log, nil))
	}})
	image := bytes.Repeat([]byte("firmware"), 20_000)
	release := s.Publish("1.0.0", image)
	steady, reporter := s.Device("dev-steady"), s.Device("dev-reporter")
	var others []server.Provisioning
	for i := range 80 {
		others = append(others, s.Device(fmt.Sprintf("dev-%d", i)))
	}
	if answer := checkIn(t, s, steady, 1); answer.ManifestHash != release.ManifestHash {
		t.Fatalf("offered is %s", answer.ManifestHash)
	}
	change := func() error {
		_, err := s.Remote().AddEnrolmentCode(t.Context(), server.NewCode{DeviceType: otatest.DeviceType})
		return err
	}
	reported := func(want int) error {
		status, err := report(t, s, reporter, 1)
		if err == nil && status != want {
			err = errors.New(http.StatusText(status))
		}
		return err
	}
	ready := func(want string) error {
		_, body := ask(t, http.DefaultClient, "GET", s.PlainURL+"/readyz")
		if body != want {
			return errors.New(body)
		}
		return nil
	}

	free := fill()
	soon(t, "a change on a full disk", func() error { // what the log of the database has room for still passes
		if err := change(); !errors.Is(err, repository.ErrFull) {
			return errors.Join(errors.New("it is not refused as full"), err)
		}
		return nil
	})
	if err := atOnce(t, "a report", func() error { return reported(http.StatusServiceUnavailable) }); err != nil {
		t.Errorf("a report on a full disk: %v", err)
	}
	for _, device := range others {
		if status, err := report(t, s, device, 1); err != nil || status != http.StatusServiceUnavailable {
			t.Fatalf("a report on a full disk: status %d, %v", status, err)
		}
	}
	if lines := strings.Count(log.String(), "not stored"); lines == 0 || lines > 60 {
		t.Errorf("%d lines in the log, which may be on that disk", lines)
	}
	if answer := checkIn(t, s, steady, 2); answer.ManifestHash != release.ManifestHash {
		t.Errorf("a check on a full disk is offered %s", answer.ManifestHash)
	}
	if resp, body := ask(t, http.DefaultClient, "GET", s.PlainURL+"/v1/firmware/"+release.ImageDigest.String()+"?device=dev-steady"); resp.StatusCode != 200 || body != string(image) {
		t.Errorf("a download on a full disk: status %d, %d bytes", resp.StatusCode, len(body))
	}
	soon(t, "monitoring", func() error { return ready(`{"ready":false,"database":true,"writable":false,"snapshot":true}`) })
	if resp, _ := ask(t, http.DefaultClient, "GET", s.PlainURL+"/readyz/devices"); resp.StatusCode != http.StatusOK {
		t.Errorf("devices are sent away: status %d", resp.StatusCode)
	}
	if err := s.Remote().Upload(t.Context(), [32]byte{1}, 1<<20, strings.NewReader(strings.Repeat("x", 1<<20)), nil); !errors.Is(err, repository.ErrFull) {
		t.Errorf("an upload on a full disk: %v", err)
	}
	second, err := server.New(t.Context(), server.Config{Dir: dir, TLSAddress: server.NoTLS, PlainAddress: "127.0.0.1:0"})
	if err != nil {
		t.Errorf("a start on a full disk: %v", err)
	} else {
		second.Close(t.Context()) // which has nothing to write, or no room for it
	}

	free()
	soon(t, "monitoring afterwards", func() error { return ready(`{"ready":true,"database":true,"writable":true,"snapshot":true}`) }) // and nobody wrote
	if err := errors.Join(reported(http.StatusNoContent), change()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if found, err := s.Server.Repository().Fsck(t.Context()); err != nil || !found.Sound() {
		t.Errorf("%v, %v", found.Problems, err)
	}
	var state api.AuditState
	if state, err = s.Remote().VerifyAudit(t.Context(), nil); err != nil || state.Records == 0 {
		t.Errorf("audit log: %+v, %v", state, err)
	}
}
