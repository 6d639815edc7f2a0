package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func (d *demo) firmware(version string) string {
	return filepath.Join(d.Firmware, "sensor-"+version)
}

// publish signs and publishes a version of the sensor.
func (d *demo) publish(ctx context.Context, version string, flags ...string) error {
	args := []string{"--device-type", deviceType, "--version", version, "--key", "release-" + deviceType + "-1"}
	args = append(args, flags...)
	d.say("$ ota publish sensor-%s %s", version, quoted(args))
	_, err := d.quietly(ctx, append([]string{"publish", d.firmware(version)}, args...)...)
	return err
}

// A report is what the demo reads of an authenticated report in the audit log.
type report struct {
	Sequence manifest.Sequence `json:"sequence"` // of what runs
	Digest   manifest.Digest   `json:"digest"`   // of what runs, read back from its slot
	Reason   trust.Reason      `json:"reason"`
	Detail   string            `json:"detail"`
}

// await follows the audit log until the device has sent a report of the event
// that is as wanted. The log misses none, however quickly they come.
func (d *demo) await(ctx context.Context, event string, wanted func(report) bool) (report, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	action := "device.report." + event
	for {
		records, err := d.ops.AuditRecords(ctx, audit.Filter{Object: device, Action: "device.report.", After: d.read})
		if err != nil && ctx.Err() == nil {
			return report{}, err
		}
		for _, rec := range records {
			d.read = rec.Seq
			var r report
			if err := json.Unmarshal(rec.After, &r); err != nil {
				return report{}, fmt.Errorf("audit record %d: %w", rec.Seq, err)
			}
			if rec.Action == action && wanted(r) {
				return r, nil
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return report{}, fmt.Errorf("the device sent no such report %q: %w\n%s", event, ctx.Err(), d.device.tail())
		}
	}
}

// installed waits until the device says, authenticated, that a version is
// confirmed; and until the program itself has said so.
func (d *demo) installed(ctx context.Context, version string) error {
	began := time.Now()
	release, err := d.releaseOf(ctx, deviceType, version)
	if err != nil {
		return err
	}
	ended := d.showLog()
	r, err := d.await(ctx, "confirmed", func(r report) bool {
		return r.Sequence == release.Sequence && r.Digest == release.ImageDigest
	})
	ended()
	if err != nil {
		return err
	}
	took := time.Since(began)
	line, _, err := d.device.waitFor(ctx, "sensor firmware "+version+":", 0)
	if err != nil {
		return err
	}
	d.say("%s: checked, downloaded into a slot, verified, booted on trial, healthy, confirmed in %.1f s", version, took.Seconds())
	d.say("evidence: the device's authenticated report that an image with digest %s… runs", r.Digest.String()[:16])
	d.say("and the program itself: %q", line)
	d.runs = r
	return nil
}

// showLog passes on what the device logs from now on, until it is told to end.
func (d *demo) showLog() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		line, next, err := "", d.logged, error(nil)
		for {
			if line, next, err = d.device.waitFor(ctx, "msg=", next); err != nil {
				return
			}
			d.logged = next
			d.say("device: %s", line[strings.Index(line, "msg=")+len("msg="):])
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (d *demo) update(ctx context.Context) error {
	if err := d.publish(ctx, "1.1.0", "--release-notes", "Measures more often", "--rollback-window", "1.1"); err != nil {
		return err
	}
	return d.installed(ctx, "1.1.0")
}

// attacks runs while 1.2.0 waits to be taken, each until the device has reported
// that it refused.
func (d *demo) attacks(ctx context.Context) error {
	old, err := d.releaseOf(ctx, deviceType, "1.0.0")
	if err != nil {
		return err
	}
	if err := d.publishOther(ctx); err != nil {
		return err
	}
	other, err := d.releaseOf(ctx, otherType, "9.9.9")
	if err != nil {
		return err
	}
	d.say("an attacker on the wire:")
	if err := d.refuses(ctx, "answers with a recording of an earlier offer", d.wire.replay, trust.ErrWrongNonce); err != nil {
		return err
	}
	d.wire.set(d.wire.tamper)
	if err := d.publish(ctx, "1.2.0", "--release-notes", "Measures even more often"); err != nil {
		return err
	}
	if err := d.refuses(ctx, "flips one bit of the image of 1.2.0", d.wire.tamper, trust.ErrImageDigest); err != nil {
		return err
	}
	d.say("a stolen server, which has the device's keys but no release key:")
	for _, a := range []struct {
		what    string
		release api.Release
		why     trust.Reason
	}{
		{"offers the genuine old 1.0.0", old, trust.ErrOldSequence},
		{"offers genuine firmware of " + otherType, other, trust.ErrNotEnoughSigners},
	} {
		size, err := d.wire.fetchManifest(a.release.ManifestHash)
		if err != nil {
			return err
		}
		if err := d.refuses(ctx, a.what, d.wire.offer(a.release.ManifestHash, size), a.why); err != nil {
			return err
		}
	}
	return nil
}

// refuses mounts an attack until the device has reported a refusal, which
// has to be for the right reason, and has to leave the device as it was.
func (d *demo) refuses(ctx context.Context, what string, a attack, why trust.Reason) error {
	d.wire.set(a)
	defer d.wire.set(d.wire.block)
	r, err := d.await(ctx, "refused", func(report) bool { return true })
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if r.Reason != why || r.Digest != d.runs.Digest {
		return fmt.Errorf("%s: the device reports %q and runs %s; want %q and %s", what, r.Reason, r.Sequence, why, d.runs.Sequence)
	}
	d.say("  %-46s refused: %s (reason %d)", what, why, why)
	return nil
}

// releaseOf finds a release by its version.
func (d *demo) releaseOf(ctx context.Context, deviceType, version string) (api.Release, error) {
	releases, err := d.ops.Releases(ctx, deviceType)
	if err != nil {
		return api.Release{}, err
	}
	for _, r := range releases {
		if r.Version.String() == version {
			return r, nil
		}
	}
	return api.Release{}, fmt.Errorf("release %s of %s is not there", version, deviceType)
}

func (d *demo) publishOther(ctx context.Context) error {
	_, err := d.quietly(ctx, "publish", d.firmware("1.0.0"), "--device-type", otherType, "--version", "9.9.9", "--key", "release-"+otherType)
	return err
}

// badRelease lets 1.2.0 through: everything about it is right but that it does
// not work.
func (d *demo) badRelease(ctx context.Context) error {
	d.wire.set(nil)
	r, err := d.await(ctx, "reverted", func(report) bool { return true })
	if err != nil {
		return err
	}
	if r.Digest != d.runs.Digest {
		return fmt.Errorf("the device runs %s, want %s", r.Sequence, d.runs.Sequence)
	}
	d.say("1.2.0 booted on trial and failed (%s: %s); the device went back to 1.1.0 by itself", r.Reason, r.Detail)
	_, err = d.ota(ctx, "release", "withdraw", deviceType, "1.2.0", "--reason", "sensor does not answer")
	return err
}

// mistakes are those of the vendor's own people.
func (d *demo) mistakes(ctx context.Context) error {
	release := []string{"--device-type", deviceType, "--key", "release-" + deviceType + "-1"}
	for _, m := range []struct {
		what string
		args []string
	}{
		{"a version that does not rise", append([]string{"publish", d.firmware("1.0.0"), "--version", "1.0.5"}, release...)},
		{"signed with the key of another type", []string{"publish", d.firmware("1.0.0"), "--version", "1.3.0", "--device-type", deviceType, "--key", "release-" + otherType}},
		{"a version that is none", append([]string{"publish", d.firmware("1.0.0"), "--version", "v2"}, release...)},
	} {
		_, err := d.quietly(ctx, m.args...)
		var failed *commandError
		if !errors.As(err, &failed) {
			return fmt.Errorf("%s was not refused: %v", m.what, err)
		}
		d.say("%s: refused: %s", m.what, failed.said())
	}
	return nil
}

// audit shows the log's tail and has it verified.
func (d *demo) audit(ctx context.Context) error {
	d.say("$ ota audit list --object %s", device)
	out, err := output(ctx, d.dir, d.Ota, "audit", "list", "--object", device, "--limit", "14")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		d.say("  %s", strings.TrimRight(line, "\n"))
	}
	d.say("$ ota audit verify")
	out, err = output(ctx, d.dir, d.Ota, "audit", "verify")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		d.say("  %s", strings.TrimRight(line, "\n"))
	}
	return nil
}
