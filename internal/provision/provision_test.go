package provision

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/cli/offline/cheader"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// provisioned returns what the server gives out for a new device.
func provisioned(t *testing.T, system *otatest.System, id string) []byte {
	t.Helper()
	raw, err := json.Marshal(system.Device(id))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func mustNew(t *testing.T, raw []byte) *Device {
	t.Helper()
	d, err := New(raw, false)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func defaultLayout(t *testing.T, places ...string) Layout {
	t.Helper()
	l, err := NewLayout(DefaultFlash, places)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLayoutsThatCannotBeAreRefused(t *testing.T) {
	for _, f := range []Flash{
		{}, {Page: 4096, Unit: 3, Erased: 0xff}, {Page: 4096, Unit: 512, Erased: 0xff}, {Page: 4098, Unit: 4, Erased: 0xff},
		{Page: 4096, Unit: 4, Erased: 0x7f}, {Page: -4096, Unit: 4}, {Page: 1 << 30, Unit: 4},
	} {
		if _, err := NewLayout(f, nil); !errors.Is(err, ErrFlash) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	for _, place := range []string{
		"", "device", "device=", "device=x", "slot=0", "device=-4096", "device=0x10", "device=0x8000:100", "device=0x8000:0",
		"journal0=0x4000", "keyset1=0:0x8000", "firmware=0x1000:0x10000", "device=0xffffffff", "firmware=0x5000:0x7fffffff",
	} {
		if _, err := NewLayout(DefaultFlash, []string{place}); !errors.Is(err, ErrFlash) {
			t.Errorf("--area %s: %v", place, err)
		}
	}
	l := defaultLayout(t, "firmware=0x5000:0x3000", "device=0x8000")
	if l.size() != 0x9000 || l.Areas()[0].Name != AreaJournal0 {
		t.Errorf("the layout is %+v", l)
	}
}

func TestAnAreaThatIsTooSmallIsNamed(t *testing.T) {
	d := mustNew(t, provisioned(t, otatest.New(t), "dev-1"))
	small := Flash{Page: 256, Unit: 4, Erased: 0xff}
	if _, err := NewLayout(small, nil); !errors.Is(err, ErrFlash) || !strings.Contains(err.Error(), "area journal0") {
		t.Errorf("a journal of one page: %v", err)
	}
	l, err := NewLayout(small, []string{"journal0=0x10000:0x1000", "journal1=0x20000:0x1000", "keyset0=0x30000:0x1000", "keyset1=0x40000:0x1000"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Image(l, nil); !errors.Is(err, ErrFlash) || !strings.Contains(err.Error(), "area device") {
		t.Errorf("a device area of one page: %v", err)
	}
	l = defaultLayout(t, "firmware=0x5000:0x1000")
	if err := l.Fits(nil, make([]byte, 0x1001)); !errors.Is(err, ErrFlash) || !strings.Contains(err.Error(), "area firmware") {
		t.Errorf("firmware that is too long: %v", err)
	}
}

func TestOnlyTheAreasOfAnImageAreReplaced(t *testing.T) {
	d := mustNew(t, provisioned(t, otatest.New(t), "dev-1"))
	firmware := []byte("firmware")
	if err := d.SetFirmware(firmware, nil); err != nil {
		t.Fatal(err)
	}
	base := bytes.Repeat([]byte{0x5a}, 0x10000)
	l := defaultLayout(t, "device=0x8000", "firmware=0xa000:0x1000")
	image, err := d.Image(l, base)
	if err != nil {
		t.Fatal(err)
	}
	if len(image) != len(base) || bytes.IndexByte(base, 0xff) >= 0 {
		t.Fatalf("%d bytes; the base may have changed", len(image))
	}
	alone, err := d.Image(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	covered := make([]bool, len(image))
	for _, a := range l.Areas() {
		if !bytes.Equal(image[a.Offset:a.end()], alone[a.Offset:a.end()]) {
			t.Errorf("area %s depends on what was there", a.Name)
		}
		for i := a.Offset; i < a.end(); i++ {
			covered[i] = true
		}
	}
	for i := range image {
		if !covered[i] && image[i] != 0x5a {
			t.Fatalf("byte 0x%x outside of the areas is changed", i)
		}
	}
	if !bytes.HasPrefix(image[0xa000:], append(firmware, 0xff)) {
		t.Error("the firmware is not where it belongs")
	}
	for _, n := range []int{0, 0xa800} {
		if _, err := d.Image(l, base[:n]); !errors.Is(err, ErrFlash) {
			t.Errorf("an image that ends within an area: %v", err)
		}
	}
}

func TestAManifestHasToBeTheDevices(t *testing.T) {
	system := otatest.New(t)
	raw := provisioned(t, system, "dev-1")
	image := []byte("firmware")
	sign := func(change func(*manifest.Manifest), by *signing.Key) []byte {
		m := system.Manifest("1.0.0", image)
		change(m)
		unsigned, err := trust.UnsignedManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := trust.SignManifest(unsigned, by)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	same := func(*manifest.Manifest) {}
	for name, c := range map[string]struct {
		image, manifest []byte
		want            error
	}{
		"its own":        {image, sign(same, system.Release), nil},
		"no image":       {nil, sign(same, system.Release), nil},
		"another image":  {[]byte("other"), sign(same, system.Release), trust.ErrImageDigest},
		"a root's":       {image, sign(same, system.Roots[0]), trust.ErrNotEnoughSigners},
		"other hardware": {image, sign(func(m *manifest.Manifest) { m.HardwareRevisions = []string{"C"} }, system.Release), trust.ErrWrongHardware},
		"a component's":  {image, sign(func(m *manifest.Manifest) { m.Component = "radio" }, system.Release), trust.ErrWrongComponent},
		"no manifest":    {image, []byte{0xa0}, trust.ErrMalformed},
	} {
		d := mustNew(t, raw)
		d.Hardware = "B"
		if err := d.SetFirmware(c.image, c.manifest); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestProvisioningsThatDoNotDoAreRefused(t *testing.T) {
	system := otatest.New(t)
	raw := provisioned(t, system, "dev-1")
	token, err := json.Marshal(system.TokenDevice("dev-2"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(token, false); !errors.Is(err, ErrToken) {
		t.Errorf("a token: %v", err)
	}
	if _, err := New(raw[1:], false); err == nil {
		t.Error("half a file is taken")
	}
	withoutKeys := bytes.Clone(raw)
	var p map[string]any
	if err := json.Unmarshal(withoutKeys, &p); err != nil {
		t.Fatal(err)
	}
	release := system.Release.Public().ID()
	var kept []any
	for _, key := range p["keys"].([]any) {
		k, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		var cose []byte
		if err := json.Unmarshal(k, &cose); err != nil {
			t.Fatal(err)
		}
		if parsed, err := trust.ParseCOSEKey(cose); err != nil || parsed.ID() != release {
			kept = append(kept, key)
		}
	}
	p["keys"] = kept
	if withoutKeys, err = json.Marshal(p); err != nil {
		t.Fatal(err)
	}
	if _, err := New(withoutKeys, false); !errors.Is(err, ErrKeys) || !strings.Contains(fmt.Sprint(err), release.String()) {
		t.Errorf("without the release key: %v", err)
	}
}

// The device's secret is in what it is for, and in nothing that is printed.
func TestTheSecretIsNotPrinted(t *testing.T) {
	d := mustNew(t, provisioned(t, otatest.New(t), "dev-1"))
	image, err := d.Image(defaultLayout(t), nil)
	if err != nil || !bytes.Contains(image, d.keys.Up[:]) || !bytes.Contains(image, d.keys.Down[:]) {
		t.Fatalf("the image has no keys: %v", err)
	}
	for _, text := range []string{fmt.Sprint(d), fmt.Sprintf("%+v %#v", d, d), fmt.Sprint(d.LogValue())} {
		if strings.Contains(text, d.keys.Up.Hex()) || strings.Contains(text, fmt.Sprint(d.keys.Up[:3])[1:10]) {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestAHeaderNeedsAName(t *testing.T) {
	d := mustNew(t, provisioned(t, otatest.New(t), "dev-1"))
	for _, symbol := range []string{"", "1x", "a-b", "a; system(0)"} {
		if _, err := d.Header(symbol); !errors.Is(err, cheader.ErrSymbol) {
			t.Errorf("%q: %v", symbol, err)
		}
	}
	header, err := d.Header("x")
	if err != nil || !strings.Contains(string(header), "struct ota_cose_key x_key_1 ") {
		t.Errorf("an Ed25519 key is not there: %v", err)
	}
}
