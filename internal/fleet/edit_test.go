package fleet_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

var operator = auth.Actor{Name: "user:alice", Role: auth.Approver, Address: "192.0.2.7:1"}

func parse(t *testing.T, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAnEditIsRecordedWithWhatItChanged(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	n := fleet.NewDevice{Ref: ref("dev-1"), Labels: map[string]string{"site": "berlin", "old": "x"}, Note: "spare"}
	if _, err := f.Add(t.Context(), operator, n); err != nil {
		t.Fatal(err)
	}
	edit := fleet.Edit{
		Labels: map[string]*string{"site": new("oslo"), "old": nil, "gone": nil, "ring": new("beta")},
		Note:   new("spare"), Hold: new(true), // the note stays what it was
	}
	for range 2 { // the second changes nothing
		if err := f.Edit(t.Context(), operator, ref("dev-1"), edit, "moved"); err != nil {
			t.Fatal(err)
		}
	}
	got := records(t, s, audit.Filter{Action: "device.edit"})
	if len(got) != 1 || got[0].Actor != operator.Name || got[0].Object != "device:"+otatest.DeviceType+"/dev-1" ||
		string(got[0].Before) != `{"labels":{"old":"x","ring":null,"site":"berlin"},"hold":false}` ||
		string(got[0].After) != `{"labels":{"old":null,"ring":"beta","site":"oslo"},"hold":true,"why":"moved"}` {
		t.Errorf("records %s", got)
	}
	for _, fl := range []*fleet.Fleet{f, open(t, s, nil)} { // in memory, and as it is stored
		d, err := fl.Device(ref("dev-1"))
		if err != nil || !d.Hold || d.Note != "spare" || !cmp.Equal(d.Labels, map[string]string{"site": "oslo", "ring": "beta"}) {
			t.Errorf("device %+v, %v", d, err)
		}
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("image"))
	modem := s.Manifest("3.0.0", []byte("modem"))
	modem.Component = "modem"
	s.PublishManifest(modem, []byte("modem"))
	s.Device("dev-1")
	f := open(t, s, nil)
	labels := map[string]*string{}
	for i := range fleet.MaxLabels + 1 {
		labels["k"+strings.Repeat("x", i)] = new("")
	}
	for name, c := range map[string]struct {
		edit fleet.Edit
		want error
	}{
		"nothing":                   {fleet.Edit{}, fleet.ErrInvalid},
		"a name that is none":       {fleet.Edit{Labels: map[string]*string{"a b": new("c")}}, fleet.ErrInvalid},
		"removing such a name":      {fleet.Edit{Labels: map[string]*string{"a b": nil}}, fleet.ErrInvalid},
		"a long value":              {fleet.Edit{Labels: map[string]*string{"a": new(strings.Repeat("x", 129))}}, fleet.ErrInvalid},
		"a value with a bell":       {fleet.Edit{Labels: map[string]*string{"a": new("\a")}}, fleet.ErrInvalid},
		"a long note":               {fleet.Edit{Note: new(strings.Repeat("x", fleet.MaxNote+1))}, fleet.ErrInvalid},
		"a note with an escape":     {fleet.Edit{Note: new("\x1b[2J")}, fleet.ErrInvalid},
		"a note that is no UTF-8":   {fleet.Edit{Note: new("\xff")}, fleet.ErrInvalid},
		"too many labels":           {fleet.Edit{Labels: labels}, fleet.ErrInvalid},
		"a pin to what is not here": {fleet.Edit{Pin: new("2.0.0")}, fleet.ErrNoRelease},
		"a pin to a component's":    {fleet.Edit{Pin: new("3.0.0")}, fleet.ErrNoRelease},
		"a pin to what is no text":  {fleet.Edit{Pin: new("latest")}, fleet.ErrNoRelease},
	} {
		if err := f.Edit(t.Context(), operator, ref("dev-1"), c.edit, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		_, err := f.EditMany(t.Context(), operator, fleet.EditMany{Filter: parse(t, "id=dev-1"), Edit: c.edit, Limit: 10})
		if !errors.Is(err, c.want) {
			t.Errorf("%s, many: %v", name, err)
		}
	}
	if got := records(t, s, audit.Filter{Action: "device.edit"}); len(got) != 0 {
		t.Errorf("recorded %s", got)
	}
	if err := f.Edit(t.Context(), operator, ref("nobody"), fleet.Edit{Hold: new(true)}, ""); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestHoldAndPinReachTheDevice(t *testing.T) {
	s := otatest.New(t)
	one := s.Publish("1.0.0", []byte("one"))
	two := s.Publish("2.0.0", []byte("two"))
	s.Device("dev-0001")
	f := open(t, s, nil)
	nonce := uint64(0)
	expect := func(what string, edit fleet.Edit, want manifest.Digest) {
		t.Helper()
		if err := f.Edit(t.Context(), operator, ref("dev-0001"), edit, ""); err != nil {
			t.Fatal(err)
		}
		nonce++
		answer, err := f.Check(t.Context(), check(nonce), "")
		if err != nil || answer.ManifestHash != want {
			t.Errorf("%s: %s, %v", what, answer.ManifestHash, err)
		}
	}
	none := manifest.Digest{}
	expect("held", fleet.Edit{Hold: new(true)}, none)
	expect("held and pinned", fleet.Edit{Pin: new("1.0.0")}, none)
	expect("pinned", fleet.Edit{Hold: new(false)}, one.ManifestHash)
	expect("free", fleet.Edit{Pin: new("")}, two.ManifestHash)
	expect("held in the middle of an offer", fleet.Edit{Hold: new(true)}, none)
	if d, err := f.Device(ref("dev-0001")); err != nil || !d.Offer.IsZero() {
		t.Errorf("the offer stands: %+v, %v", d.Offer, err)
	}
}

func TestUpdateNowEndsWithTheNextConfirmation(t *testing.T) {
	s := otatest.New(t)
	first := s.Publish("1.0.0", []byte("one"))
	second := s.Publish("2.0.0", []byte("two"))
	s.Device("dev-0001")
	f := open(t, s, nil)
	confirm := func(nonce uint64, release api.Release) {
		t.Helper()
		r := trust.Report{
			Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: nonce, Event: trust.EventConfirmed,
			Sequence: release.Sequence, ImageDigest: release.ImageDigest,
		}
		if err := f.Report(t.Context(), r, ""); err != nil {
			t.Fatal(err)
		}
	}
	confirm(1, first)
	if err := f.Edit(t.Context(), operator, ref("dev-0001"), fleet.Edit{UpdateNow: new(true)}, ""); err != nil {
		t.Fatal(err)
	}
	confirm(2, first) // it says again what it said before
	if d, _ := f.Device(ref("dev-0001")); !d.UpdateNow {
		t.Error("an old confirmation undid the operator's word")
	}
	confirm(3, second)
	if d, _ := f.Device(ref("dev-0001")); d.UpdateNow {
		t.Error("it goes on after the update")
	}
}

func TestEnrollingAgainKeepsTheOperatorsWords(t *testing.T) {
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("one"))
	s.Device("dev-1")
	f := open(t, s, nil)
	edit := fleet.Edit{Note: new("n"), Hold: new(true), Pin: new("1.0.0"), UpdateNow: new(true), Labels: map[string]*string{"a": new("b")}}
	if err := f.Edit(t.Context(), operator, ref("dev-1"), edit, ""); err != nil {
		t.Fatal(err)
	}
	code, _, err := f.AddCode(t.Context(), operator, fleet.NewCode{DeviceType: otatest.DeviceType, Device: "dev-1", Again: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Enrol(t.Context(), fleet.Enrolment{Code: code}, ""); err != nil {
		t.Fatal(err)
	}
	d, err := f.Device(ref("dev-1"))
	if err != nil || d.Generation != 2 || d.Note != "n" || !d.Hold || d.Pin != "1.0.0" || !d.UpdateNow || d.Labels["a"] != "b" {
		t.Errorf("device %+v, %v", d, err)
	}
}

// Another replica may have been told a moment ago what this one does not know
// yet: a hold must not go because the device is enrolled meanwhile.
func TestEnrollingAgainKeepsWhatAnotherReplicaWasTold(t *testing.T) {
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("one"))
	s.Device("dev-1")
	f, other := open(t, s, nil), open(t, s, nil)
	code, _, err := f.AddCode(t.Context(), operator, fleet.NewCode{DeviceType: otatest.DeviceType, Device: "dev-1", Again: true})
	if err != nil {
		t.Fatal(err)
	}
	edit := fleet.Edit{Note: new("n"), Hold: new(true), Pin: new("1.0.0"), UpdateNow: new(true), Labels: map[string]*string{"a": new("b")}}
	if err := other.Edit(t.Context(), operator, ref("dev-1"), edit, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Enrol(t.Context(), fleet.Enrolment{Code: code}, ""); err != nil {
		t.Fatal(err)
	}
	d, err := f.Device(ref("dev-1"))
	if err != nil || d.Generation != 2 || d.Note != "n" || !d.Hold || d.Pin != "1.0.0" || !d.UpdateNow || d.Labels["a"] != "b" {
		t.Errorf("device %+v, %v", d, err)
	}
}
