package client_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/testserver"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// installed returns a device that runs 1.0.0, sequence 5.
func installed(t *testing.T) device {
	t.Helper()
	d := newDevice(t)
	d.server.Publish(seq(5), "1.0.0", imageV1, floor(3))
	d.install(t)
	return d
}

// refuses fails unless an update is refused for that reason, and nothing but
// the last error changes. The refusal is reported if the server can hear it.
func (d device) refuses(t *testing.T, want trust.Reason) {
	t.Helper()
	c, _ := d.mustBoot(t)
	before := c.State()
	out, err := c.Update(t.Context())
	wantReason(t, err, want)
	if out.Switched {
		t.Error("and yet it was switched")
	}
	after := c.State()
	if after.Rollback.Installed != before.Rollback.Installed || after.Active != before.Active || after.Rollback.Floor != before.Rollback.Floor {
		t.Error("the refusal changed what is installed")
	}
	d.server.Hook = nil
	if err := c.DeliverReports(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := d.lastReport(t); r.Event != trust.EventRefused || r.Reason != want {
		t.Errorf("reported %s, %v: %s", r.Event, r.Reason, r.Detail)
	}
	d.runs(t, imageV1)
}

func TestKeyedDeviceRefusesJSON(t *testing.T) {
	d := installed(t)
	body := fmt.Appendf(nil, `{"device":%q,"nonce":1,"server_time":1,"keyset_version":1,"retry_seconds":1,"update":null}`, id)
	d.server.Hook = answer("/v1/check", "application/json", http.StatusOK, body)
	d.refuses(t, trust.ErrUnauthenticated)
}

func TestReplayedAnswerIsRefused(t *testing.T) {
	d := installed(t)
	c, _ := d.mustBoot(t)
	if _, err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.server.Hook = answer("/v1/check", "application/cose", http.StatusOK, d.server.LastAnswer(id))
	d.refuses(t, trust.ErrWrongNonce)
}

func TestAnswerOfAnotherDeviceIsRefused(t *testing.T) {
	d := installed(t)
	d.server.Rewrite = func(r *trust.CheckResponse) { r.Device = "dev-2" }
	d.refuses(t, trust.ErrWrongDevice)
}

func TestReflectedRequestIsRefused(t *testing.T) {
	d := installed(t)
	d.server.Hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/check" {
			return false
		}
		w.Header().Set("Content-Type", "application/cose")
		var body bytes.Buffer
		body.ReadFrom(r.Body)
		w.Write(body.Bytes())
		return true
	}
	d.refuses(t, trust.ErrWrongKind)
}

func TestAnswerUnderTheUpKeyIsRefused(t *testing.T) {
	d := installed(t)
	up, err := trust.ParseDeviceKey(testserver.New(author).AddDevice(id, 1).UpKey)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := trust.CheckResponse{Device: id, Nonce: 1, KeysetVersion: 1}.Seal(up)
	if err != nil {
		t.Fatal(err)
	}
	d.server.Hook = answer("/v1/check", "application/cose", http.StatusOK, sealed)
	d.refuses(t, trust.ErrBadMAC)
}

func TestEveryChangedBitOfAnAnswerIsRefused(t *testing.T) {
	d := installed(t)
	c, _ := d.mustBoot(t)
	plain := d.server.Clone()
	for bit := 0; ; bit++ {
		changed := false
		d.server.Hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/v1/check" {
				return false
			}
			rec := &recorder{header: http.Header{}}
			plain.ServeHTTP(rec, r)
			if raw := rec.body.Bytes(); bit/8 < len(raw) {
				raw[bit/8] ^= 1 << (bit % 8)
				changed = true
				w.Header().Set("Content-Type", "application/cose")
				w.Write(raw)
			}
			return true
		}
		_, err := c.Check(t.Context())
		if !changed {
			break
		}
		if err == nil || errors.Is(err, reason.Internal) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

func TestManifestThatWasNotNamedIsRefused(t *testing.T) {
	d := installed(t)
	named := d.server.Publish(seq(6), "1.1.0", imageV2)
	m := manifest.New(author.Vendor, author.DeviceType, seq(7), mustVersion("1.2.0"))
	if err := m.SetImage(sha256.Sum256(imageV2), int64(len(imageV2))); err != nil {
		t.Fatal(err)
	}
	d.server.Hook = answer("/v1/manifest/"+named.String(), "application/cose", http.StatusOK, author.Sign(m))
	d.refuses(t, trust.ErrNotNamed)
}

// Each release that a device must not take, and why.
func TestReleasesThatAreRefused(t *testing.T) {
	old := testserver.Key("old release key")
	for name, c := range map[string]struct {
		want   trust.Reason
		seq    manifest.Sequence
		v      string
		change func(*manifest.Manifest)
		sign   []trust.Signer
	}{
		"downgrade":    {want: trust.ErrOldVersion, v: "0.9.0"},
		"old sequence": {want: trust.ErrOldSequence, seq: seq(4)},
		"downgrade for another sequence": {want: trust.ErrNotApplicable, v: "0.9.0", change: func(m *manifest.Manifest) {
			m.Flags, m.DowngradeFrom = manifest.FlagDowngrade, []manifest.Sequence{seq(3)}
		}},
		"below the floor":      {want: trust.ErrBelowFloor, change: floor(2)},
		"expired":              {want: trust.ErrExpired, change: func(m *manifest.Manifest) { m.Expires = time.Unix(1_600_000_000, 0) }},
		"another type":         {want: trust.ErrWrongType, change: func(m *manifest.Manifest) { m.DeviceType = "pump" }},
		"another vendor":       {want: trust.ErrWrongVendor, change: func(m *manifest.Manifest) { m.Vendor = "umbrella" }},
		"other hardware":       {want: trust.ErrWrongHardware, change: func(m *manifest.Manifest) { m.HardwareRevisions = []string{"Z"} }},
		"another component":    {want: trust.ErrWrongComponent, change: func(m *manifest.Manifest) { m.Component = "modem" }},
		"newer keyset":         {want: trust.ErrKeysetTooOld, change: func(m *manifest.Manifest) { m.KeysetVersion = 2 }},
		"unknown signer":       {want: trust.ErrNotEnoughSigners, sign: []trust.Signer{old}},
		"root as signer":       {want: trust.ErrNotEnoughSigners, sign: author.Roots[:1]},
		"epoch of another key": {want: trust.ErrWrongEpoch, seq: manifest.NewSequence(2, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			d := installed(t)
			if c.seq == 0 {
				c.seq = seq(6)
			}
			if c.v == "" {
				c.v = "1.1.0"
			}
			m := manifest.New(author.Vendor, author.DeviceType, c.seq, mustVersion(c.v))
			m.SecurityCounter = 3
			if err := m.SetImage(sha256.Sum256(imageV2), int64(len(imageV2))); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(m)
			}
			d.server.Offer(author.Sign(m, c.sign...), imageV2)
			d.refuses(t, c.want)
		})
	}
}

func TestSignedDowngradeIsTaken(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "0.9.0", imageV2, floor(3), func(m *manifest.Manifest) {
		m.Flags, m.DowngradeFrom = manifest.FlagDowngrade, []manifest.Sequence{seq(5)}
	})
	d.install(t)
	d.runs(t, imageV2)
}

func TestExtraUnknownSignatureIsSkipped(t *testing.T) {
	d := installed(t)
	m := manifest.New(author.Vendor, author.DeviceType, seq(6), mustVersion("1.1.0"))
	m.SecurityCounter = 3
	if err := m.SetImage(sha256.Sum256(imageV2), int64(len(imageV2))); err != nil {
		t.Fatal(err)
	}
	d.server.Offer(author.Sign(m, author.Release, testserver.Key("of tomorrow")), imageV2)
	d.install(t)
	d.runs(t, imageV2)
}

func TestPS256ReleaseKey(t *testing.T) {
	a := testserver.NewAuthor("acme", "sensor_v1")
	a.Release = testserver.RSAKey()
	a.Keyset = a.SignKeyset(a.NextKeyset(1), a.Roots[0], a.Roots[2])
	d := device{fs: crashfs.New(), server: testserver.New(a)}
	if err := client.Provision(d.config(), d.server.AddDevice(id, 1)); err != nil {
		t.Fatal(err)
	}
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.runs(t, imageV1)
}

func TestTamperedImageIsRefusedAndNotRemembered(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	bad := slices.Clone(imageV2)
	bad[len(bad)-1] ^= 1
	d.server.Hook = imageHook(bad)
	d.refuses(t, trust.ErrImageDigest)
	d.install(t) // once the attacker is gone
	d.runs(t, imageV2)
}

func TestRevokedReleaseKeyIsRefusedAfterTheNewKeyset(t *testing.T) {
	d := installed(t)
	revoked := author.Release
	a := *author
	a.Release = testserver.Key("next release key")
	ks := a.NextKeyset(2)
	ks.Releases[0].Epoch = 2
	d.server.Author = &a
	d.server.AddKeyset(a.SignKeyset(ks, a.Roots[0], a.Roots[1]))
	m := manifest.New(a.Vendor, a.DeviceType, seq(6), mustVersion("1.1.0"))
	if err := m.SetImage(sha256.Sum256(imageV2), int64(len(imageV2))); err != nil {
		t.Fatal(err)
	}
	d.server.Offer(a.Sign(m, revoked), imageV2)
	d.refuses(t, trust.ErrNotEnoughSigners)
	d.server.Publish(manifest.NewSequence(2, 1), "1.1.0", imageV2)
	d.install(t)
	d.runs(t, imageV2)
}

func TestKeysetWalkThroughARotationOfRoots(t *testing.T) {
	d := installed(t)
	a := *author
	d.server.Author = &a
	old, next := author.Roots, []trust.Signer{testserver.Key("root 4"), testserver.Key("root 5"), testserver.Key("root 6")}
	last := []trust.Signer{testserver.Key("root 7"), testserver.Key("root 8"), testserver.Key("root 9")}
	bridge := func(v uint32, from, to []trust.Signer) {
		a.Roots = to
		d.server.AddKeyset(a.SignKeyset(a.NextKeyset(v), from[0], from[1], to[0], to[1]))
	}
	bridge(2, old, next)
	bridge(3, next, last) // not signed by the roots that the device holds: it has to walk over 2
	c, _ := d.mustBoot(t)
	if _, err := c.Update(t.Context()); err != nil || c.Keyset().Keyset().Version != 3 {
		t.Fatalf("holds keyset %d, %v", c.Keyset().Keyset().Version, err)
	}
	if c, _ = d.mustBoot(t); c.Keyset().Keyset().Version != 3 {
		t.Error("the keyset does not survive a reset")
	}
	if !slices.Contains(d.events(), trust.EventKeyset) {
		t.Error("not reported")
	}
}

func TestKeysetSignedByOneSideOnlyIsRefused(t *testing.T) {
	strangers := []trust.Signer{testserver.Key("stranger 1"), testserver.Key("stranger 2")}
	for name, signers := range map[string][]trust.Signer{
		"only the new roots": strangers,
		"only the old roots": author.Roots[:2],
		"one old root":       {author.Roots[0], strangers[0], strangers[1]},
	} {
		t.Run(name, func(t *testing.T) {
			d := installed(t)
			a := *author
			d.server.Author, a.Roots = &a, append(slices.Clone(strangers), testserver.Key("stranger 3"))
			d.server.AddKeyset(a.SignKeyset(a.NextKeyset(2), signers...))
			d.refuses(t, trust.ErrNotEnoughSigners)
			if c, _ := d.mustBoot(t); c.Keyset().Keyset().Version != 1 {
				t.Error("and yet it is held")
			}
		})
	}
}

func TestOldKeysetIsNotTaken(t *testing.T) {
	d := installed(t)
	d.server.Rewrite = func(r *trust.CheckResponse) { r.KeysetVersion = 2 }
	d.refuses(t, trust.ErrKeysetNotNewer)
}

func TestLostStateBootsButDoesNotSpeak(t *testing.T) {
	d := installed(t)
	for _, name := range []string{"/ota/state.a", "/ota/state.b"} {
		if err := d.fs.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	c, image := d.mustBoot(t)
	if got, err := d.content(client.Image{Slot: image.Slot, Entry: entry(imageV1)}); err != nil || !bytes.Equal(got, imageV1) {
		t.Errorf("boots slot %d: %.8q, %v", image.Slot, got, err)
	}
	_, err := c.Check(t.Context())
	wantReason(t, err, trust.ErrNoDeviceKey)
	if !errors.Is(client.Provision(d.config(), d.server.AddDevice(id, 1)), client.ErrProvisioned) {
		t.Error("the old key generation is taken again: nonces would be used twice")
	}
	if err := client.Provision(d.config(), d.server.AddDevice(id, 2)); err != nil {
		t.Fatal(err)
	}
	c, _ = d.mustBoot(t)
	if _, err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOneDamagedCopyOfTheStateIsNoLoss(t *testing.T) {
	for _, name := range []string{"/ota/state.a", "/ota/state.b", "/ota/boot.a", "/ota/boot.b"} {
		d := installed(t)
		raw, err := d.fs.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)/2] ^= 1
		if err := d.config().Ops.WriteFile(strings.TrimPrefix(name, "/ota/"), raw); err != nil {
			t.Fatal(err)
		}
		d.runs(t, imageV1)
		c, _ := d.mustBoot(t)
		if _, err := c.Check(t.Context()); err != nil || c.State().Rollback.Installed.Sequence != seq(5) {
			t.Errorf("%s: %v", name, err)
		}
		if p := d.server.Problems(); len(p) > 0 {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestUndeliveredReportsWait(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	d.server.Hook = answer("/v1/report", "application/json", http.StatusServiceUnavailable, nil)
	d.install(t)
	before := len(d.server.Reports(id))
	c, _ := d.mustBoot(t)
	if n := len(c.State().Reports); n != 4 {
		t.Fatalf("%d reports wait, want 4", n)
	}
	d.server.Hook = nil
	if err := c.DeliverReports(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := d.events()[before:]; len(got) != 4 || got[3] != trust.EventConfirmed || len(c.State().Reports) != 0 {
		t.Errorf("delivered %v, %d wait", got, len(c.State().Reports))
	}
}
