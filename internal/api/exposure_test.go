package api_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/internal/sbom"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// publishDocument publishes a release with a document.
func publishDocument(t *testing.T, s *otatest.System, version string, image []byte, d manifest.Document) api.Release {
	t.Helper()
	raw, digest, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m := s.Manifest(version, image)
	m.ReleaseDigest = digest
	if err := s.Management().Upload(t.Context(), m.ImageDigest, int64(len(image)), strings.NewReader(string(image)), nil); err != nil {
		t.Fatal(err)
	}
	return must(s.Management().AddRelease(t.Context(), trust.Bundle{Manifest: signed(t, m, s.Release), ReleaseDocument: raw}))(t)
}

func TestExposureGoesByWhatDevicesSay(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		ctx := t.Context()
		const cve = "CVE-2026-1234"
		old := s.Publish("1.9.0", []byte("old"))
		fixed := publishDocument(t, s, "1.10.0", []byte("fixed"), manifest.Document{CVEs: []string{cve}})
		later := s.Publish("1.11.0", []byte("later"))
		must(m.SetDeviceType(ctx, rollout.TypeSettings{DeviceType: otatest.DeviceType, Offer: rollout.Newest, SupportEnd: time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC)}))(t)
		says := func(id string, r api.Release, event trust.Event) {
			t.Helper()
			s.Device(id)
			ask := trust.CheckRequest{Device: id, DeviceType: otatest.DeviceType, Nonce: 1, KeysetVersion: 1, Sequence: r.Sequence, ImageDigest: r.ImageDigest}
			if _, err := s.Server.CheckForUpdates(ctx, ask); err != nil {
				t.Fatal(err)
			}
			if event == 0 {
				return
			}
			report := trust.Report{Device: id, DeviceType: otatest.DeviceType, Nonce: 2, Event: event, Sequence: r.Sequence, ImageDigest: r.ImageDigest}
			if err := s.Server.RecordUpdate(ctx, report); err != nil {
				t.Fatal(err)
			}
		}
		says("old-1", old, trust.EventConfirmed)
		says("old-2", old, 0)
		says("fixed", fixed, trust.EventConfirmed)
		says("later", later, trust.EventConfirmed)
		says("strange", api.Release{Sequence: fixed.Sequence, ImageDigest: [32]byte{9}}, 0) // the number is right, the bytes are not
		says("gone", old, 0)
		s.Device("unseen")
		if err := m.RevokeDevice(ctx, ref("gone"), "sold"); err != nil {
			t.Fatal(err)
		}

		x := must(m.Exposure(ctx, api.ExposureQuery{CVE: cve}))(t)
		if len(x.Types) != 1 || len(x.Unmentioned) != 0 {
			t.Fatalf("exposure %+v", x)
		}
		got := x.Types[0]
		if got.FixedIn.String() != "1.10.0" || got.Release != fixed.Identity || !got.Offered || got.SupportEnd.Year() != 2030 ||
			got.Devices != 6 || got.Exposed != 2 || got.Fixed != 2 || got.Unknown != 1 || got.NeverSeen != 1 {
			t.Errorf("exposure %+v", got)
		}
		want := "[{1.9.0 exposed 2 1 0 [old-1 old-2]} { unknown 1 0 0 [strange]} {1.10.0 fixed 1 1 0 [fixed]} {1.11.0 fixed 1 1 0 [later]}]"
		if fmt.Sprint(got.Versions) != want {
			t.Errorf("versions %v\nwant     %s", got.Versions, want)
		}
		if list := must(m.Devices(ctx, api.DeviceQuery{Filter: got.Filter + " and not state=revoked"}))(t); len(list) != got.Exposed {
			t.Errorf("%s selects %d devices", got.Filter, len(list))
		}
		some := must(m.Exposure(ctx, api.ExposureQuery{CVE: cve, Filter: "id=old-1 or id=fixed"}))(t).Types[0]
		if some.Devices != 2 || some.Exposed != 1 || some.Filter != "type=sensor_v1 and version<1.10.0 and (id=old-1 or id=fixed)" {
			t.Errorf("of some: %+v", some)
		}
		if other := must(m.Exposure(ctx, api.ExposureQuery{CVE: "CVE-2000-0001"}))(t); len(other.Types) != 0 || fmt.Sprint(other.Unmentioned) != "[sensor_v1]" {
			t.Errorf("of another: %+v", other)
		}
		_, noCVE := m.Exposure(ctx, api.ExposureQuery{CVE: "heartbleed"})
		_, noFilter := m.Exposure(ctx, api.ExposureQuery{CVE: cve, Filter: "x"})
		if !errors.Is(noCVE, api.ErrInvalid) || !errors.Is(noFilter, filter.ErrInvalid) {
			t.Errorf("%v, %v", noCVE, noFilter)
		}
	})
}

// A release that goes back carries the old version, and the old hole.
func TestADowngradeIsExposed(t *testing.T) {
	s := otatest.New(t)
	m := s.Management()
	old := s.Publish("1.0.0", []byte("old"))
	fixed := publishDocument(t, s, "1.1.0", []byte("fixed"), manifest.Document{CVEs: []string{"CVE-2026-1234"}})
	back := s.Manifest("1.0.0", []byte("old"))
	back.Flags, back.DowngradeFrom = manifest.FlagDowngrade, []manifest.Sequence{fixed.Sequence}
	release := must(m.AddRelease(t.Context(), trust.Bundle{Manifest: signed(t, back, s.Release)}))(t)
	s.Device("dev-1")
	ask := trust.CheckRequest{Device: "dev-1", DeviceType: otatest.DeviceType, Nonce: 1, KeysetVersion: 1, Sequence: release.Sequence, ImageDigest: old.ImageDigest}
	if _, err := s.Server.CheckForUpdates(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	if x := must(m.Exposure(t.Context(), api.ExposureQuery{CVE: "CVE-2026-1234"}))(t); x.Types[0].Exposed != 1 {
		t.Errorf("exposure %+v", x.Types)
	}
}

func TestSBOMFiles(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		ctx := t.Context()
		file := []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"zlib"}]}`)
		digest := manifest.Digest(sha256.Sum256(file))
		named := publishDocument(t, s, "1.0.0", []byte("one"), manifest.Document{SBOMs: []manifest.SBOM{{Name: "bom.json", SHA256: digest}}})
		none := s.Publish("1.1.0", []byte("two"))
		if _, err := m.ReleaseSBOM(ctx, named.Identity, ""); !errors.Is(err, repository.ErrNotFound) {
			t.Errorf("before it is stored: %v", err)
		}
		for range 2 {
			if got := must(m.AddSBOM(ctx, file))(t); got != (api.SBOM{SHA256: digest, Info: sbom.Info{Format: sbom.CycloneDX, Version: "1.6", Components: 1}}) {
				t.Errorf("stored %+v", got)
			}
		}
		for _, name := range []string{"", "bom.json"} {
			if back := must(m.ReleaseSBOM(ctx, named.Identity, name))(t); string(back) != string(file) {
				t.Errorf("came back as %q", back)
			}
		}
		_, other := m.ReleaseSBOM(ctx, named.Identity, "other")
		_, without := m.ReleaseSBOM(ctx, none.Identity, "")
		_, nothing := m.AddSBOM(ctx, []byte("{}"))
		if !errors.Is(other, repository.ErrNotFound) || !errors.Is(without, repository.ErrNotFound) || !errors.Is(nothing, sbom.ErrInvalid) {
			t.Errorf("%v, %v, %v", other, without, nothing)
		}
		_, long := m.AddSBOM(ctx, make([]byte, sbom.MaxSize+1))
		if !errors.Is(long, sbom.ErrInvalid) && !errors.Is(long, trust.ErrTooLarge) {
			t.Errorf("too long: %v", long)
		}
	})
}
