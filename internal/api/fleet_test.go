package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

func TestAFleetInTheHandsOfAnOperator(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		ctx := t.Context()
		s.Publish("1.0.0", []byte("image"))
		for i := range 5 {
			site := []string{"berlin", "oslo"}[i%2]
			must(m.AddDevice(ctx, fleet.NewDevice{Ref: ref(fmt.Sprintf("dev-%d", i)), Labels: map[string]string{"site": site}, Note: "new"}))(t)
		}
		ids := func(q api.DeviceQuery) (ids string) {
			for _, d := range must(m.Devices(ctx, q))(t) {
				ids += d.ID + " "
			}
			return ids
		}
		if got := ids(api.DeviceQuery{Filter: "label.site=oslo"}); got != "dev-1 dev-3 " {
			t.Errorf("in Oslo: %s", got)
		}
		q := api.DeviceQuery{Sort: "-id", Limit: 2}
		first := must(m.Devices(ctx, q))(t)
		if got := ids(q.Next(first)); first[0].ID != "dev-4" || got != "dev-2 dev-1 " {
			t.Errorf("descending from %s, then %s", first[0].ID, got)
		}
		for _, sort := range []string{"seen", "added", "version", "keyset", "state"} {
			q := api.DeviceQuery{Sort: sort, Limit: 3}
			if got := ids(q.Next(must(m.Devices(ctx, q))(t))); got != "dev-3 dev-4 " {
				t.Errorf("by %s: %s", sort, got)
			}
		}

		edit := fleet.Edit{Labels: map[string]*string{"site": nil, "ring": new("beta")}, Hold: new(true), Pin: new("1.0.0")}
		d := must(m.EditDevice(ctx, ref("dev-0"), edit, "under repair"))(t)
		if !d.Hold || d.Pin != "1.0.0" || d.Labels["ring"] != "beta" || len(d.Labels) != 1 || d.Note != "new" || d.Why != fleet.ErrHeld.Error() {
			t.Errorf("edited %+v", d)
		}
		many := api.EditDevices{Filter: "not hold", Edit: fleet.Edit{UpdateNow: new(true)}, DryRun: true}
		if dry := must(m.EditDevices(ctx, many))(t); dry.Matched != 4 || dry.Changed != 4 || len(dry.Examples) != 4 {
			t.Errorf("dry run %+v", dry)
		}
		many.DryRun = false
		if done := must(m.EditDevices(ctx, many))(t); done.Changed != 4 || ids(api.DeviceQuery{Filter: "update-now"}) != "dev-1 dev-2 dev-3 dev-4 " {
			t.Errorf("done %+v", done)
		}
		sum := must(m.FleetSummary(ctx, api.SummaryQuery{Filter: "not hold", Label: "site"}))(t)
		if sum.Devices != 4 || fmt.Sprint(sum.Types[0].Labels.Counts) != "[{berlin 2} {oslo 2}]" || fmt.Sprint(sum.Types[0].States.Counts) != "[{never seen 4}]" ||
			len(sum.Cohorts) != 1 || sum.Cohorts[0].Level != fleet.Keyed {
			t.Errorf("summary %+v", sum)
		}
		imported := must(m.ImportDevices(ctx, fleet.Import{Update: true, Devices: []fleet.ImportDevice{
			{Ref: ref("dev-5"), Labels: &map[string]string{"site": "rome"}}, {Ref: ref("dev-0"), Note: new("repaired"), Hold: new(false)},
		}}))(t)
		if !imported.Committed || imported.Devices[0].Outcome != fleet.Added || len(imported.Devices[0].Provisioning.UpKey) != 64 ||
			imported.Devices[1].Outcome != fleet.Updated || ids(api.DeviceQuery{Filter: "note=repaired or label.site=rome"}) != "dev-0 dev-5 " {
			t.Errorf("imported %+v", imported)
		}
		_, noFilter := m.EditDevices(ctx, api.EditDevices{Edit: many.Edit})
		_, badFilter := m.Devices(ctx, api.DeviceQuery{Filter: "state=ofline"})
		_, badSort := m.Devices(ctx, api.DeviceQuery{Sort: "colour"})
		_, badLabel := m.FleetSummary(ctx, api.SummaryQuery{Label: "a b"})
		_, noRelease := m.EditDevice(ctx, ref("dev-1"), fleet.Edit{Pin: new("9.9.9")}, "")
		_, tooMany := m.EditDevices(ctx, api.EditDevices{Filter: "type~*", Edit: fleet.Edit{Hold: new(false)}, Limit: 4})
		_, nobody := m.EditDevice(ctx, ref("nobody"), edit, "")
		_, noLife := m.DeviceHistory(ctx, ref("nobody"), api.HistoryQuery{})
		for name, c := range map[string]struct{ got, want error }{
			"no filter": {noFilter, api.ErrInvalid}, "bad filter": {badFilter, filter.ErrInvalid}, "bad sort": {badSort, fleet.ErrInvalid},
			"bad label": {badLabel, api.ErrInvalid}, "no release": {noRelease, fleet.ErrNoRelease}, "too many": {tooMany, fleet.ErrTooManyDevices},
			"nobody": {nobody, fleet.ErrNotFound}, "nobody's life": {noLife, fleet.ErrNotFound},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %v", name, c.got)
			}
		}
	})
}

// A device's life is told by its records, with whose word each is.
func TestADevicesLife(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		ctx := t.Context()
		release := s.Publish("1.0.0", []byte("image"))
		must(m.AddDevice(ctx, fleet.NewDevice{Ref: ref("dev-1")}))(t)
		must(m.EditDevice(ctx, ref("dev-1"), fleet.Edit{Note: new("on the roof"), Labels: map[string]*string{"site": new("oslo")}}, "moved"))(t)
		ask := trust.CheckRequest{Device: "dev-1", DeviceType: otatest.DeviceType, Nonce: 1, KeysetVersion: 1, ImageDigest: [32]byte{7}}
		if _, err := s.Server.CheckForUpdates(ctx, ask); err != nil {
			t.Fatal(err)
		}
		fetched := must(http.Get(s.PlainURL + "/v1/firmware/" + release.ImageDigest.String() + "?device=dev-1"))(t)
		fetched.Body.Close()
		report := trust.Report{Device: "dev-1", DeviceType: otatest.DeviceType, Sequence: release.Sequence, ImageDigest: release.ImageDigest}
		for i, event := range []trust.Event{trust.EventInstalled, trust.EventTrial, trust.EventConfirmed} {
			report.Nonce, report.Event = uint64(10+i), event
			if err := s.Server.RecordUpdate(ctx, report); err != nil {
				t.Fatal(err)
			}
		}
		report.Nonce, report.Event, report.Reason, report.Detail = 20, trust.EventReverted, trust.ErrHealthCheck, "no network"
		report.Sequence, report.ImageDigest = 0, [32]byte{7}
		if err := s.Server.RecordUpdate(ctx, report); err != nil {
			t.Fatal(err)
		}
		if err := m.RevokeDevice(ctx, ref("dev-1"), "stolen"); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"added · added, level keyed · operator",
			"edited · label site=oslo, note \"on the roof\": moved · operator",
			"offered · offered 1.0.0 · server",
			"state · runs an unpublished image 070000000000…, boot confirmed, keyset 1 · check",
			"download · a download of the offered image began · claim",
			"installed · installed; runs 1.0.0 · report",
			"trial · trial; runs 1.0.0 · report",
			"confirmed · 1.0.0 proved itself · report",
			"reverted · reverted; runs an unpublished image 070000000000…: health check failed: no network · report",
			"revoked · shut out: stolen · operator",
		}
		life := must(m.DeviceHistory(ctx, ref("dev-1"), api.HistoryQuery{}))(t)
		var got []string
		for i := range life {
			e := life[len(life)-1-i]
			got = append(got, fmt.Sprintf("%s · %s · %s", e.Event, e.Words, e.Evidence))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("life\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		older := must(m.DeviceHistory(ctx, ref("dev-1"), api.HistoryQuery{Before: life[2].Seq, Limit: 2}))(t)
		if len(older) != 2 || older[0] != life[3] {
			t.Errorf("the page before: %+v", older)
		}
		record := must(m.AuditRecords(ctx, audit.Filter{Object: "device:" + ref("dev-1").String(), Limit: 1}))(t)[0]
		if life[0].Hash != record.Hash || life[0].Seq != record.Seq {
			t.Errorf("event %+v is not of record %d", life[0], record.Seq)
		}
	})
}

func TestWhoMayEditDevices(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-1")
	hold := fleet.Edit{Hold: new(true)}
	for role, may := range map[auth.Role]bool{auth.Viewer: false, auth.Publisher: false, auth.Approver: true, auth.Administrator: true} {
		token := must(s.Management().AddToken(t.Context(), auth.NewOperator{Name: role.String(), Role: role}))(t)
		m := must(api.NewClient(api.ClientConfig{URL: s.URL, Token: token, Fingerprint: s.Fingerprint}))(t)
		_, one := m.EditDevice(t.Context(), ref("dev-1"), hold, "")
		_, many := m.EditDevices(t.Context(), api.EditDevices{Filter: "id=dev-1", Edit: hold})
		for _, err := range []error{one, many} {
			if errors.Is(err, auth.ErrForbidden) == may {
				t.Errorf("%s: %v", role, err)
			}
		}
		_, err := m.ImportDevices(t.Context(), fleet.Import{Devices: []fleet.ImportDevice{{Ref: ref("dev-1")}}, DryRun: true})
		if errors.Is(err, auth.ErrForbidden) != (role < auth.Administrator) {
			t.Errorf("%s imports: %v", role, err)
		}
		if _, err := m.EditDevices(t.Context(), api.EditDevices{Filter: "id=dev-1", Edit: hold, DryRun: true}); err != nil {
			t.Errorf("%s asks what would be: %v", role, err)
		}
	}
}

// That a note, a pin or all labels go is something to say, over the network, in
// the audit log and in an import as well.
func TestWordsAreTakenBack(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		ctx := t.Context()
		s.Publish("1.0.0", []byte("one"))
		s.Device("dev-1")
		said := fleet.Edit{Note: new("n"), Pin: new("1.0.0"), Labels: map[string]*string{"a": new("b")}}
		must(m.EditDevice(ctx, ref("dev-1"), said, ""))(t)
		if d := must(m.EditDevice(ctx, ref("dev-1"), fleet.Edit{Note: new(""), Pin: new("")}, ""))(t); d.Note != "" || d.Pin != "" {
			t.Errorf("device %+v", d)
		}
		life := must(m.DeviceHistory(ctx, ref("dev-1"), api.HistoryQuery{Limit: 1}))(t)
		if len(life) != 1 || life[0].Words != `note "", no longer pinned` {
			t.Errorf("life %+v", life)
		}
		must(m.EditDevice(ctx, ref("dev-1"), said, ""))(t)
		list := fleet.Import{Update: true, Devices: []fleet.ImportDevice{{
			Ref: ref("dev-1"), Note: new(""), Pin: new(""), Labels: &map[string]string{},
		}}}
		must(m.ImportDevices(ctx, list))(t)
		if d := must(m.Device(ctx, ref("dev-1")))(t); d.Note != "" || d.Pin != "" || len(d.Labels) != 0 {
			t.Errorf("after the import: %+v", d)
		}
	})
}
