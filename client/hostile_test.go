package client_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

// Two things may be wrong in one round, round after round: that is two reports,
// and not two and a worn flash every hour.
func TestTwoRefusalsOfARoundAreReportedOnce(t *testing.T) {
	for name, offer := range map[string]func(device){
		"keyset and release":           func(d device) { d.server.Publish(seq(6), "0.9.0", imageV2, floor(3)) },
		"keyset, release is installed": func(d device) { d.server.Publish(seq(5), "1.0.0", imageV1, floor(3)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := installed(t)
			offer(d)
			d.server.Rewrite = func(r *trust.CheckResponse) { r.KeysetVersion = 2 } // and there is none
			c, _ := d.mustBoot(t)
			if _, err := c.Update(t.Context()); err == nil {
				t.Fatal("nothing was refused")
			}
			reports, nonce := len(d.server.Reports(id)), c.State().Nonce
			for range 5 {
				_, _ = c.Update(t.Context())
			}
			if n := len(d.server.Reports(id)) - reports; n != 0 {
				t.Errorf("%d reports more, of the same", n)
			}
			if c.State().Nonce != nonce {
				t.Errorf("nonces %d to %d: more messages than the checks", nonce, c.State().Nonce)
			}
		})
	}
}

// A broken image may say anything, and at any length, while it fails.
func TestLongDetailDoesNotKeepAnImageFromBeingRejected(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	c, _ := d.mustBoot(t)
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, _ = d.mustBoot(t)
	if err := c.RejectFirmware(t.Context(), reason.HealthCheck, strings.Repeat("x", 2<<20)); err != nil {
		t.Fatal(err)
	}
	if n := len(c.State().Update.Detail); n > trust.MaxDetail {
		t.Errorf("%d bytes of it are kept", n)
	}
	d.runs(t, imageV1)
}

func TestOnePacketDoesNotSilenceADevice(t *testing.T) {
	b := client.Backoff{Device: id}
	within := func(got, want time.Duration) bool { return got >= want && got <= want+want/10 }
	forever := &client.StatusError{Status: 503, RetryAfter: (1<<31 - 1) * time.Second}
	if got := b.Next(client.Answer{}, forever); !within(got, time.Hour) {
		t.Errorf("waits %v because somebody said so", got)
	}
	if got := b.Next(client.Answer{}, &client.StatusError{Status: 503, RetryAfter: time.Second}); !within(got, 5*time.Second) {
		t.Errorf("waits %v: a nonce each second", got)
	}
	d := installed(t)
	d.server.Rewrite = func(r *trust.CheckResponse) { r.RetrySeconds = 1<<32 - 1 }
	c, _ := d.mustBoot(t)
	a, err := c.Check(t.Context())
	if got := b.Next(a, err); err != nil || !within(got, 7*24*time.Hour) {
		t.Errorf("waits %v, %v", got, err)
	}
}

func TestLongHeaderIsRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 64<<10))
	}))
	defer srv.Close()
	hc, err := client.Server{URL: srv.URL}.HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := hc.Get(srv.URL); err == nil {
		resp.Body.Close()
		t.Error("64 KiB of header were read")
	}
}

// An unreadableFS fails to read what is named so.
type unreadableFS struct {
	fsatomic.FS
	name string
}

func (u unreadableFS) OpenFile(name string, flag int, perm fs.FileMode) (fsatomic.File, error) {
	f, err := u.FS.OpenFile(name, flag, perm)
	if err == nil && name == u.name {
		f = unreadableFile{f}
	}
	return f, err
}

func (u unreadableFS) ReadFile(name string) ([]byte, error) {
	if strings.HasPrefix(name, u.name) {
		return nil, syscall.EIO
	}
	return u.FS.ReadFile(name)
}

type unreadableFile struct{ fsatomic.File }

func (unreadableFile) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

// A bad block in the active slot shows as an error, not as another digest.
func TestUnreadableActiveSlotReturnsToTheRetainedImage(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3), window(5))
	c := d.install(t)
	d.fs = unreadableFS{d.fs, "/ota/slot." + client.SlotName(c.State().Active)}
	d.runs(t, imageV1)
}

func TestUnreadableActiveSlotIsReplacedByAnUpdate(t *testing.T) {
	d := installed(t)
	c, _ := d.mustBoot(t)
	d.fs = unreadableFS{d.fs, "/ota/slot." + client.SlotName(c.State().Active)}
	if _, _, err := d.boot(); !errors.Is(err, client.ErrNothingToBoot) {
		t.Fatalf("boot: %v", err)
	}
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	c, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.Update(t.Context()); err != nil || !out.Switched {
		t.Fatalf("update: %+v, %v", out.Switched, err)
	}
	d.runs(t, imageV2)
}

// What cannot be read now is not lost: to provision over it would be to forget
// the floor and every release that ever ran.
func TestUnreadableStateIsNotForgotten(t *testing.T) {
	d := installed(t)
	whole := d.fs
	d.fs = unreadableFS{whole, "/ota/state."}
	c, _ := d.mustBoot(t)
	if _, err := c.Check(t.Context()); !errors.Is(err, syscall.EIO) || errors.Is(err, client.ErrStateLost) {
		t.Errorf("check: %v", err)
	}
	if err := client.Provision(d.config(), d.server.AddDevice(id, 2)); !errors.Is(err, syscall.EIO) {
		t.Errorf("provision: %v", err)
	}
	d.fs = whole
	if c, err := d.open(); err != nil || c.State().Rollback.Floor.Counter != 3 {
		t.Errorf("the floor is gone: %v", err)
	}
}
