package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/bootloader"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

var errCut = errors.New("the power failed here")

// A cutter is a boot loader at one of whose changes the power fails.
type cutter struct {
	client.Stage
	before, after string // "try" or "set"
}

func (c cutter) Try(ctx context.Context, slot int) error {
	return c.cut("try", func() error { return c.Stage.Try(ctx, slot) })
}

func (c cutter) Set(ctx context.Context, slot int) error {
	return c.cut("set", func() error { return c.Stage.Set(ctx, slot) })
}

func (c cutter) cut(name string, do func() error) error {
	if c.before == name {
		return errCut
	}
	if err := do(); err != nil || c.after != name {
		return err
	}
	return errCut
}

// cutAt opens a booted device whose power will fail there.
func (d device) cutAt(t *testing.T, before, after string) *client.Client {
	t.Helper()
	d.mustBoot(t)
	cfg := d.config()
	cfg.Loader = cutter{bootloader.NewFile(cfg.Ops, 0), before, after}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetBlocks(512, 512)
	return c
}

// wantCut fails unless the power failed.
func wantCut(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errCut) {
		t.Fatalf("not interrupted: %v", err)
	}
}

// switched takes the update, up to the reboot.
func (d device) switched(t *testing.T) {
	t.Helper()
	c, _ := d.mustBoot(t)
	if out, err := c.Update(t.Context()); err != nil || !out.Switched {
		t.Fatal(out.Switched, err)
	}
}

// returnable installs 1.1.0 with a floor that 1.0.0 is not below.
func (d device) returnable(t *testing.T) {
	t.Helper()
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3), window(5))
	d.install(t)
}

// counting counts requests for images, each with its range.
func (d device) counting(requests *[]string) {
	d.server.Hook = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v1/firmware/") {
			*requests = append(*requests, r.Header.Get("Range"))
		}
		return false
	}
}

// The table of docs/agent-journal.md: where an update is interrupted, and what
// the next boot starts. The device ran 1.0.0 and was offered 1.1.0, which allows
// to return to 1.0.0.
var interruptions = []struct {
	name      string
	interrupt func(*testing.T, device)
	boots     string
	trial     bool
	then      func(*testing.T, device, *client.Client) // what else is so, after that boot
}{
	{"slot given up", func(t *testing.T, d device) {
		d.server.Hook = firmwareHook(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		c, _ := d.mustBoot(t)
		if _, err := c.Update(t.Context()); err == nil {
			t.Fatal("not interrupted")
		}
	}, "1.0.0", false, func(t *testing.T, d device, c *client.Client) {
		wantReason(t, c.RollbackFirmware(t.Context()), trust.ErrNothingRetained)
		d.install(t)
	}},
	{"image half written", func(t *testing.T, d device) {
		d.server.Hook = firmwareHook(broken(imageV2, 1600, new([]string)))
		c, err := client.New(d.overTCP(t))
		if err != nil {
			t.Fatal(err)
		}
		c.SetBlocks(512, 512)
		ctx, cancel := context.WithCancel(t.Context())
		c.SetProgressCallback(func(p client.Progress) {
			if p.Done == 1536 {
				cancel()
			}
		})
		if _, err := c.Update(ctx); err == nil {
			t.Fatal("not interrupted")
		}
	}, "1.0.0", false, func(t *testing.T, d device, _ *client.Client) {
		var requests []string
		d.counting(&requests)
		d.install(t)
		if !slices.Equal(requests, []string{"bytes=1536-"}) {
			t.Errorf("asked for %q", requests)
		}
	}},
	{"slot read back", func(t *testing.T, d device) {
		_, err := d.cutAt(t, "try", "").Update(t.Context())
		wantCut(t, err)
	}, "1.0.0", false, func(t *testing.T, d device, c *client.Client) {
		if c.State().Update.Phase != client.Downloading {
			t.Errorf("phase %s: an answer outlived a reset", c.State().Update.Phase)
		}
		var requests []string
		d.counting(&requests)
		d.install(t)
		if len(requests) != 0 {
			t.Errorf("asked for %q: all of it is in the slot", requests)
		}
	}},
	{"boot loader switched", func(t *testing.T, d device) {
		_, err := d.cutAt(t, "", "try").Update(t.Context())
		wantCut(t, err)
	}, "1.1.0", true, nil},
	{"switch recorded", func(t *testing.T, d device) { d.switched(t) }, "1.1.0", true, nil},
	{"try counted down", func(t *testing.T, d device) {
		d.switched(t)
		d.mustBoot(t)
	}, "1.1.0", true, nil},
	{"last try used up", func(t *testing.T, d device) {
		d.switched(t)
		for range 3 {
			d.mustBoot(t)
		}
	}, "1.0.0", false, func(t *testing.T, _ device, c *client.Client) {
		if c.State().LastError != reason.TriesExhausted || len(c.State().Rollback.Rejected) != 1 {
			t.Errorf("last error %v, %d rejected", c.State().LastError, len(c.State().Rollback.Rejected))
		}
	}},
	{"boot loader confirmed", func(t *testing.T, d device) {
		d.switched(t)
		wantCut(t, d.cutAt(t, "", "set").ConfirmFirmware(t.Context()))
	}, "1.1.0", false, func(t *testing.T, d device, c *client.Client) {
		if c.State().Rollback.Installed.Sequence != seq(6) || c.State().Rollback.Floor.Counter != 4 {
			t.Errorf("installed %v, floor %v", c.State().Rollback.Installed.Sequence, c.State().Rollback.Floor)
		}
	}},
	{"confirmation not begun", func(t *testing.T, d device) {
		d.switched(t)
		wantCut(t, d.cutAt(t, "set", "").ConfirmFirmware(t.Context()))
	}, "1.1.0", true, func(t *testing.T, _ device, c *client.Client) {
		if c.State().Rollback.Floor.Counter != 3 {
			t.Error("the floor has risen")
		}
	}},
	{"rejection recorded", func(t *testing.T, d device) {
		d.switched(t)
		wantCut(t, d.cutAt(t, "set", "").RejectFirmware(t.Context(), reason.HealthCheck, ""))
	}, "1.0.0", false, healthNamed},
	{"boot loader told to go back", func(t *testing.T, d device) {
		d.switched(t)
		wantCut(t, d.cutAt(t, "", "set").RejectFirmware(t.Context(), reason.HealthCheck, ""))
	}, "1.0.0", false, healthNamed},
	{"return recorded", func(t *testing.T, d device) {
		d.returnable(t)
		wantCut(t, d.cutAt(t, "try", "").RollbackFirmware(t.Context()))
	}, "1.1.0", false, func(t *testing.T, d device, c *client.Client) {
		if err := c.RollbackFirmware(t.Context()); err != nil {
			t.Error(err)
		}
	}},
	{"return switched", func(t *testing.T, d device) {
		d.returnable(t)
		wantCut(t, d.cutAt(t, "", "try").RollbackFirmware(t.Context()))
	}, "1.0.0", true, nil},
	{"return confirmed by the boot loader", func(t *testing.T, d device) {
		d.returnable(t)
		c, _ := d.mustBoot(t)
		if err := c.RollbackFirmware(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantCut(t, d.cutAt(t, "", "set").ConfirmFirmware(t.Context()))
	}, "1.0.0", false, func(t *testing.T, _ device, c *client.Client) {
		if c.State().Rollback.Installed.Sequence != seq(5) {
			t.Errorf("installed %v", c.State().Rollback.Installed.Sequence)
		}
	}},
	{"report sent", func(t *testing.T, d device) {
		c, _ := d.mustBoot(t)
		if err := c.Report(t.Context(), client.QueuedReport{Event: trust.EventTrial}); err != nil {
			t.Fatal(err)
		}
	}, "1.0.0", false, func(t *testing.T, d device, c *client.Client) {
		if err := c.Report(t.Context(), client.QueuedReport{Event: trust.EventTrial}); err != nil {
			t.Error(err)
		}
	}},
	{"nonces reserved", func(t *testing.T, d device) {
		c, _ := d.mustBoot(t)
		if _, err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}, "1.0.0", false, func(t *testing.T, d device, c *client.Client) {
		before := d.server.LastCheck(id).Nonce
		if _, err := c.Check(t.Context()); err != nil || d.server.LastCheck(id).Nonce <= before {
			t.Errorf("nonce %d after %d, %v", d.server.LastCheck(id).Nonce, before, err)
		}
	}},
	{"boot record lost", func(t *testing.T, d device) {
		for _, name := range []string{"/ota/boot.a", "/ota/boot.b"} {
			if err := fsatomic.WriteFile(d.fs, name, []byte("torn"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}, "1.0.0", false, nil},
	{"new keyset torn", func(t *testing.T, d device) {
		a := *author
		d.server.Author = &a
		d.server.AddKeyset(a.SignKeyset(a.NextKeyset(2), a.Roots[0], a.Roots[1]))
		c, _ := d.mustBoot(t)
		if err := c.FetchKeysets(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"/ota/keyset.a", "/ota/keyset.b"} {
			raw, err := d.fs.ReadFile(name)
			if err == nil && len(raw) > 0 && strings.HasSuffix(name, newKeysetFile(d)) {
				err = fsatomic.WriteFile(d.fs, name, raw[:len(raw)/2], 0o600)
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}, "1.0.0", false, func(t *testing.T, _ device, c *client.Client) {
		if c.Keyset().Keyset().Version != 1 {
			t.Fatalf("holds version %d", c.Keyset().Keyset().Version)
		}
		if err := c.FetchKeysets(t.Context(), 2); err != nil || c.Keyset().Keyset().Version != 2 {
			t.Errorf("fetched again: version %d, %v", c.Keyset().Keyset().Version, err)
		}
	}},
}

// newKeysetFile returns the end of the name of the keyset file written last.
func newKeysetFile(d device) string {
	a, errA := d.fs.Stat("/ota/keyset.a")
	b, errB := d.fs.Stat("/ota/keyset.b")
	if errB != nil || errA == nil && a.ModTime().After(b.ModTime()) {
		return ".a"
	}
	return ".b"
}

func healthNamed(t *testing.T, d device, c *client.Client) {
	t.Helper()
	if err := c.DeliverReports(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := d.lastReport(t); r.Event != trust.EventReverted || r.Reason != reason.HealthCheck {
		t.Errorf("reported %s, %v", r.Event, r.Reason)
	}
}

func TestInterrupted(t *testing.T) {
	for _, row := range interruptions {
		t.Run(row.name, func(t *testing.T) {
			d := installed(t)
			d.server.Publish(seq(6), "1.1.0", imageV2, floor(4), window(5))
			row.interrupt(t, d)
			d.server.Hook = nil
			c, image := d.mustBoot(t)
			if image.Entry.Version.String() != row.boots || image.Trial != row.trial {
				t.Fatalf("boots %s, trial %v", image.Entry.Version, image.Trial)
			}
			if row.then != nil {
				row.then(t, d, c)
			}
			for _, p := range d.server.Problems() {
				t.Error(p)
			}
		})
	}
}

// The table in the documentation names each row's test, and every row has one.
func TestInterruptedRowsAreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../docs/agent-journal.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range interruptions {
		if !strings.Contains(string(raw), fmt.Sprintf("| `%s` |", row.name)) {
			t.Errorf("docs/agent-journal.md has no row %q", row.name)
		}
	}
	if rows := strings.Count(string(raw), "\n| `"); rows != len(interruptions) {
		t.Errorf("docs/agent-journal.md has %d rows, the test %d", rows, len(interruptions))
	}
}
