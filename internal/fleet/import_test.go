package fleet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

func outcomes(r fleet.Imported) (words string) {
	for _, d := range r.Devices {
		words += string(d.Outcome) + " "
	}
	return strings.TrimSpace(words)
}

func TestAnImportIsAllOrNothing(t *testing.T) {
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("image"))
	f := open(t, s, nil)
	s.Device("old")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	level, labels := fleet.TokenOnly, map[string]string{"site": "oslo"}
	in := fleet.Import{Devices: []fleet.ImportDevice{
		{Ref: ref("new-1"), Labels: &labels, Note: new("spare"), Hold: new(true), Pin: new("1.0.0"), Vendor: new(otatest.Vendor)},
		{Ref: ref("new-2"), Level: &level, HardwareRevision: new("rev-b")},
		{Ref: ref("old"), Note: new("seen before")},
	}}
	take := func(what, want string, committed bool) fleet.Imported {
		t.Helper()
		got, err := f.Import(t.Context(), operator, in)
		if err != nil || outcomes(got) != want || got.Committed != committed {
			t.Errorf("%s: %s, committed %t, %v", what, outcomes(got), got.Committed, err)
		}
		return got
	}
	in.DryRun = true
	if got := take("dry run", "added added exists", false); got.Devices[0].Provisioning != nil {
		t.Error("a dry run made secrets")
	}
	in.DryRun = false
	in.Devices = append(in.Devices, fleet.ImportDevice{Ref: ref("../x")})
	take("with one that is refused", "added added exists refused", false)
	if f.Count() != 1 {
		t.Fatalf("%d devices came of it", f.Count())
	}
	in.Devices = in.Devices[:3]
	got := take("at last", "added added exists", true)
	one, two := got.Devices[0].Provisioning, got.Devices[1].Provisioning
	if one == nil || len(one.UpKey) != 64 || two == nil || !strings.HasPrefix(two.Token, "ota_dev_") || got.Devices[2].Provisioning != nil {
		t.Errorf("secrets %v and %v", one, two)
	}
	d, err := f.Device(ref("new-1"))
	if err != nil || d.Labels["site"] != "oslo" || d.Note != "spare" || !d.Hold || d.Pin != "1.0.0" || d.Level != fleet.Keyed {
		t.Errorf("device %+v, %v", d, err)
	}
	take("again", "exists exists exists", true)
	in.Update = true
	take("with update", "unchanged unchanged updated", true)
	in.Devices[0].Labels, in.Devices[0].Hold = &map[string]string{"ring": "beta"}, new(false)
	take("labels are all there are", "updated unchanged unchanged", true)
	if d, err := f.Device(ref("new-1")); err != nil || fmt.Sprint(d.Labels) != "map[ring:beta]" || d.Hold || d.Note != "spare" {
		t.Errorf("device %+v, %v", d, err)
	}
	if n := len(records(t, s, audit.Filter{Action: "device.add", Object: "device:" + ref("new-1").String()})); n != 1 {
		t.Errorf("%d records that it was added", n)
	}
	if list := records(t, s, audit.Filter{Action: "devices.import", Oldest: true}); len(list) != 3 || string(list[0].After) != `{"added":2}` {
		t.Errorf("records of imports: %s", list)
	}
}

func TestWhatAnImportRefuses(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	s.Device("old")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := fleet.TokenOnly
	for name, d := range map[string]fleet.ImportDevice{
		"a type without a keyset": {Ref: fleet.Ref{DeviceType: "toaster", ID: "a"}},
		"another vendor":          {Ref: ref("new"), Vendor: new("evil")},
		"another vendor's old":    {Ref: ref("old"), Vendor: new("evil")},
		"another level":           {Ref: ref("old"), Level: &token},
		"a pin to nothing":        {Ref: ref("new"), Pin: new("1.0.0")},
		"an old one's pin":        {Ref: ref("old"), Pin: new("1.0.0")},
		"a long note":             {Ref: ref("old"), Note: new(strings.Repeat("x", 2000))},
		"a bad label":             {Ref: ref("new"), Labels: &map[string]string{"a b": "c"}},
	} {
		for _, dry := range []bool{true, false} {
			in := fleet.Import{Devices: []fleet.ImportDevice{{Ref: ref("fine")}, d}, Update: true, DryRun: dry}
			got, err := f.Import(t.Context(), operator, in)
			if err != nil || outcomes(got) != "added refused" || got.Committed || got.Devices[1].Error == "" {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	}
	twice := fleet.Import{Devices: []fleet.ImportDevice{{Ref: ref("new")}, {Ref: ref("new")}}}
	if got, err := f.Import(t.Context(), operator, twice); err != nil || outcomes(got) != "added refused" {
		t.Errorf("twice: %+v, %v", got, err)
	}
	for _, n := range []int{0, fleet.MaxImport + 1} {
		if _, err := f.Import(t.Context(), operator, fleet.Import{Devices: make([]fleet.ImportDevice, n)}); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%d devices: %v", n, err)
		}
	}
	if f.Count() != 1 {
		t.Errorf("%d devices", f.Count())
	}
}

// The keys that an import hands out are those of the device.
func TestImportedDevicesAreLetIn(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	got, err := f.Import(t.Context(), operator, fleet.Import{Devices: []fleet.ImportDevice{{Ref: ref("dev-0001")}}})
	if err != nil {
		t.Fatal(err)
	}
	keys := s.DeviceKeys(*got.Devices[0].Provisioning)
	raw, err := check(1).Seal(keys.Up)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.OpenCheckRequest(raw, f.Sender("").UpKey); err != nil {
		t.Error(err)
	}
}
