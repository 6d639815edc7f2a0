package provision

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/secure-ota/secure-ota/internal/testenv"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

var libota = filepath.Join("..", "..", "libota")

// compile builds a program beside libota with every warning an error.
func compile(t *testing.T, source string, flags ...string) string {
	t.Helper()
	cc := testenv.Tool(t, "cc", "gcc")
	program := filepath.Join(t.TempDir(), "program")
	args := []string{"-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-DOTA_MAX_UNIT=256", "-I", filepath.Join(libota, "include"),
		"-I", "testdata", "-o", program, source}
	sources, err := filepath.Glob(filepath.Join(libota, "src", "*.c"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("libota has no sources: %v", err)
	}
	out, err := exec.Command(cc, append(append(args, flags...), sources...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("compile %s: %v\n%s", source, err, out)
	}
	return program
}

func run(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program, args...)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v %s", program, strings.Join(args, " "), err, &words)
	}
	return out
}

// A world is a vendor with RSA keys, a device, and a release it is made with.
type world struct {
	system       *otatest.System
	provisioning []byte
	firmware     []byte
	manifest     []byte
}

func newWorld(t *testing.T) world {
	w := world{system: otatest.New(t, otatest.Options{Algorithm: trust.PS256}), firmware: bytes.Repeat([]byte("firmware"), 125)}
	var err error
	if w.provisioning, err = json.Marshal(w.system.Device("dev-0001")); err != nil {
		t.Fatal(err)
	}
	m := w.system.Manifest("1.0.0", w.firmware)
	m.SecurityCounter, m.OldestReturn = 3, manifest.NewSequence(1, 1)
	raw, err := trust.UnsignedManifest(m)
	if err == nil {
		w.manifest, err = trust.SignManifest(raw, w.system.Release)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w world) device(t *testing.T) *Device {
	t.Helper()
	d, err := New(w.provisioning, true)
	if err == nil {
		err = d.SetFirmware(w.firmware, w.manifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// flashes are parts of all kinds: unit, page, erased value, pages of an area.
var flashes = []struct {
	Flash
	pages int
}{
	{DefaultFlash, 1},
	{Flash{Page: 1024, Unit: 1, Erased: 0xff}, 4},
	{Flash{Page: 1024, Unit: 2, Erased: 0xff}, 4}, // STM32F1
	{Flash{Page: 2048, Unit: 2, Erased: 0xff}, 2},
	{Flash{Page: 128, Unit: 4, Erased: 0x00}, 32}, // STM32L0
	{Flash{Page: 256, Unit: 4, Erased: 0x00}, 16}, // STM32L1
	{Flash{Page: 2048, Unit: 8, Erased: 0xff}, 2}, // STM32L4
	{Flash{Page: 4096, Unit: 8, Erased: 0x00}, 1},
	{Flash{Page: 8192, Unit: 16, Erased: 0xff}, 1}, // STM32U5
	{Flash{Page: 4096, Unit: 32, Erased: 0x00}, 1},
	{Flash{Page: 256, Unit: 64, Erased: 0xff}, 16},   // SAMD21
	{Flash{Page: 128, Unit: 128, Erased: 0xff}, 32},  // AVR
	{Flash{Page: 4096, Unit: 256, Erased: 0xff}, 2},  // SPI NOR
	{Flash{Page: 65536, Unit: 256, Erased: 0x00}, 1}, // sectors of NOR
}

// layout places the areas as make.c and look.c have them.
func layout(t *testing.T, f Flash, pages int) Layout {
	t.Helper()
	var places []string
	for i, name := range required {
		places = append(places, fmt.Sprintf("%s=%d:%d", name, i*pages*f.Page, pages*f.Page))
	}
	l, err := NewLayout(f, places)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What this package writes, held against libota itself.
func TestAgainstLibota(t *testing.T) {
	w := newWorld(t)
	t.Run("the image is what libota writes", func(t *testing.T) { theImageIsWhatLibotaWrites(t, w) })
	t.Run("a device opens the image", func(t *testing.T) { aDeviceOpensTheImage(t, w) })
	t.Run("the header holds the same", func(t *testing.T) { theHeaderHoldsTheSame(t, w) })
}

// libota, given the same, writes the same bytes: journal, keyset slot, device
// area, prepared keys.
func theImageIsWhatLibotaWrites(t *testing.T, w world) {
	program := compile(t, filepath.Join("testdata", "make.c"))
	d := w.device(t)
	identity, err := d.identity()
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := d.anchor()
	if err != nil {
		t.Fatal(err)
	}
	files := []string{
		write(t, "entry", d.installed.encode()), write(t, "keyset", d.keyset.Bytes()),
		write(t, "identity", identity), write(t, "anchor", anchor),
	}
	for _, key := range d.signers {
		files = append(files, write(t, "key", key.COSEKey()))
	}
	for _, f := range flashes {
		t.Run(fmt.Sprintf("%+v", f.Flash), func(t *testing.T) {
			got, err := d.Image(layout(t, f.Flash, f.pages), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := run(t, program, append([]string{
				strconv.Itoa(f.Unit), strconv.Itoa(f.Page), strconv.Itoa(int(f.Erased)), strconv.Itoa(f.pages),
				"1", "1", "1", "3",
			}, files...)...)
			if len(got) != len(want) {
				t.Fatalf("%d bytes, libota writes %d", len(got), len(want))
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("byte 0x%x is %02x, libota writes %02x", i, got[i], want[i])
				}
			}
		})
	}
}

// A device that is given the image knows who it is, trusts the keyset and the
// release key, and speaks with the server's key.
func aDeviceOpensTheImage(t *testing.T, w world) {
	program := compile(t, filepath.Join("testdata", "look.c"))
	w.provisioning = bytes.Replace(w.provisioning, []byte(`"generation"`), []byte(`"hardware_revision":"B","generation"`), 1)
	d := w.device(t)
	manifestFile := write(t, "manifest", w.manifest)
	for _, f := range flashes {
		image, err := d.Image(layout(t, f.Flash, f.pages), nil)
		if err != nil {
			t.Fatal(err)
		}
		out := run(t, program, strconv.Itoa(f.Unit), strconv.Itoa(f.Page), strconv.Itoa(int(f.Erased)), strconv.Itoa(f.pages),
			write(t, "image", image), manifestFile)
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		want := []string{
			"device acme/sensor_v1/dev-0001 hardware B generation 1",
			"state keyset 1 floor 1.3 generation 1",
			"entry sequence 1.1 counter 3 size 1000 version 1.0.0",
			"image " + d.installed.imageDigest.String(),
			"keyset version 1 of 1, keys 4",
		}
		if diff := cmp.Diff(want, lines[:len(lines)-1]); diff != "" {
			t.Fatalf("%+v: %s", f.Flash, diff)
		}
		raw, err := hex.DecodeString(strings.TrimPrefix(lines[len(lines)-1], "request "))
		if err != nil {
			t.Fatal(err)
		}
		r, err := trust.OpenCheckRequest(raw, func(string, string) (trust.DeviceKey, error) { return d.keys.Up, nil })
		if err != nil || r.Device != "dev-0001" || r.Nonce != 1 {
			t.Fatalf("the request is %+v, %v", r, err)
		}
	}
}

// The header compiles for limbs of either size, and holds the same.
func theHeaderHoldsTheSame(t *testing.T, w world) {
	d := w.device(t)
	header, err := d.Header("unit_7")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(write(t, "provisioning.h", header))
	var want bytes.Buffer
	anchor, _ := d.anchor()
	for _, part := range [][]byte{[]byte("acme\x00sensor_v1\x00dev-0001\x00\x00"), d.keys.Up[:], d.keys.Down[:], anchor, d.keyset.Bytes()} {
		want.Write(part)
	}
	for _, key := range d.signers {
		id := key.ID()
		want.Write(id[:])
	}
	row, err := d.row(DefaultFlash)
	if err != nil {
		t.Fatal(err)
	}
	for _, bits := range []string{"16", "32"} {
		out := run(t, compile(t, filepath.Join("testdata", "header.c"), "-I", dir, "-DOTA_LIMB_BITS="+bits, "-Wconversion", "-pedantic"))
		text, keys := out[:want.Len()], out[want.Len():]
		if !bytes.Equal(text, want.Bytes()) {
			t.Fatalf("limbs of %s bits: the header says something else", bits)
		}
		if len(keys) != 4*(4+512) {
			t.Fatalf("limbs of %s bits: keys of %d bytes", bits, len(keys))
		}
		for key := range slices.Chunk(keys, 4+512) {
			if !bytes.Contains(row, key) {
				t.Errorf("limbs of %s bits: a key is not the one in the image", bits)
			}
		}
	}
	if _, ok := d.signers[0].Key().(*rsa.PublicKey); !ok {
		t.Fatal("the keys are not RSA")
	}
}
