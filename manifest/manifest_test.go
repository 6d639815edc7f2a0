package manifest_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/version"
)

func parse(text string) version.Version {
	v, err := version.Parse(text)
	if err != nil {
		panic(err)
	}
	return v
}

func good() *manifest.Manifest {
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, 5), parse("2.1.0"))
	m.ImageDigest, m.ImageSize = manifest.Digest{1}, 10
	return m
}

func TestEveryFieldReadsBack(t *testing.T) {
	m := good()
	m.HardwareRevisions = []string{"A", "B"}
	m.Component, m.SecurityCounter, m.KeysetVersion = "modem", 7, 3
	m.Expires = time.Unix(1_800_000_000, 999).UTC()
	m.Flags, m.DowngradeFrom = manifest.FlagDowngrade|manifest.FlagSecurity, []manifest.Sequence{0, 1<<32 | 4}
	m.OldestReturn, m.ReleaseDigest = 1<<32|2, manifest.Digest{9}
	raw, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Downgrade() || !got.Security() || got.Expires.Unix() != 1_800_000_000 || got.Expires.Nanosecond() != 0 || got.Component != "modem" {
		t.Errorf("reads back as %+v", got)
	}
	again, err := got.Encode()
	if err != nil || !bytes.Equal(again, raw) {
		t.Errorf("encodes to other bytes: %v", err)
	}
}

func TestFieldsOutOfBoundsAreNotEncoded(t *testing.T) {
	for name, c := range map[string]struct {
		want  reason.Reason
		spoil func(*manifest.Manifest)
	}{
		"vendor":                {reason.InvalidField, func(m *manifest.Manifest) { m.Vendor = "a b" }},
		"device type missing":   {reason.InvalidField, func(m *manifest.Manifest) { m.DeviceType = "" }},
		"component":             {reason.InvalidField, func(m *manifest.Manifest) { m.Component = "-" }},
		"hardware unsorted":     {reason.InvalidField, func(m *manifest.Manifest) { m.HardwareRevisions = []string{"B", "A"} }},
		"hardware twice":        {reason.InvalidField, func(m *manifest.Manifest) { m.HardwareRevisions = []string{"A", "A"} }},
		"hardware name":         {reason.InvalidField, func(m *manifest.Manifest) { m.HardwareRevisions = []string{""} }},
		"too much hardware":     {reason.InvalidField, func(m *manifest.Manifest) { m.HardwareRevisions = make([]string, 17) }},
		"epoch 0":               {reason.InvalidField, func(m *manifest.Manifest) { m.Sequence = 5 }},
		"number 0":              {reason.InvalidField, func(m *manifest.Manifest) { m.Sequence = 1 << 32 }},
		"version missing":       {reason.InvalidField, func(m *manifest.Manifest) { m.Version = version.Version{} }},
		"image empty":           {reason.ImageSize, func(m *manifest.Manifest) { m.ImageSize = 0 }},
		"image digest missing":  {reason.InvalidField, func(m *manifest.Manifest) { m.ImageDigest = manifest.Digest{} }},
		"encoding":              {reason.Unsupported, func(m *manifest.Manifest) { m.Encoding = 1 }},
		"keyset version 0":      {reason.InvalidField, func(m *manifest.Manifest) { m.KeysetVersion = 0 }},
		"unknown flag":          {reason.Unsupported, func(m *manifest.Manifest) { m.Flags = 4 }},
		"downgrade from where":  {reason.InvalidField, func(m *manifest.Manifest) { m.Flags = manifest.FlagDowngrade }},
		"no downgrade":          {reason.InvalidField, func(m *manifest.Manifest) { m.DowngradeFrom = []manifest.Sequence{1} }},
		"downgrade from itself": {reason.InvalidField, func(m *manifest.Manifest) { m.Flags, m.DowngradeFrom = 1, []manifest.Sequence{m.Sequence} }},
		"too many downgrades":   {reason.InvalidField, func(m *manifest.Manifest) { m.Flags, m.DowngradeFrom = 1, make([]manifest.Sequence, 33) }},
		"return to the future":  {reason.InvalidField, func(m *manifest.Manifest) { m.OldestReturn = m.Sequence + 1 }},
		"expired before 1970":   {reason.InvalidField, func(m *manifest.Manifest) { m.Expires = time.Unix(-1, 0) }},
		"expired at 1970":       {reason.InvalidField, func(m *manifest.Manifest) { m.Expires = time.Unix(0, 0) }},
		"expires too late":      {reason.InvalidField, func(m *manifest.Manifest) { m.Expires = time.Unix(1<<40, 0) }},
	} {
		m := good()
		c.spoil(m)
		if _, err := m.Encode(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestLargestManifestFits(t *testing.T) {
	long := strings.Repeat("x", manifest.MaxName)
	m := manifest.New(long, long, math.MaxUint64, parse(strings.Repeat("9", 60)+".9.9"))
	for i := range manifest.MaxHardwareRevisions {
		m.HardwareRevisions = append(m.HardwareRevisions, string(rune('a'+i))+long[1:])
	}
	for i := range manifest.MaxDowngradeFrom {
		m.DowngradeFrom = append(m.DowngradeFrom, manifest.Sequence(1<<63)+manifest.Sequence(i))
	}
	m.Component, m.Flags, m.SecurityCounter, m.KeysetVersion, m.OldestReturn = long, 3, math.MaxUint32, math.MaxUint32, m.Sequence
	m.Expires, m.ReleaseDigest, m.ImageDigest, m.ImageSize = time.Unix(manifest.MaxExpiry, 0), manifest.Digest{1}, manifest.Digest{1}, math.MaxUint32
	raw, err := m.Encode()
	if err != nil || len(raw) > manifest.MaxPayload {
		t.Fatalf("%d bytes: %v", len(raw), err)
	}
	if _, err := manifest.Decode(raw); err != nil {
		t.Error(err)
	}
	if _, err := manifest.Decode(make([]byte, manifest.MaxPayload+1)); !errors.Is(err, reason.TooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestImageSizeFitsTheManifest(t *testing.T) {
	for size, ok := range map[int64]bool{-1: false, 0: false, 1: true, math.MaxUint32: true, math.MaxUint32 + 1: false} {
		m := good()
		if err := m.SetImage(manifest.Digest{2}, size); (err == nil) != ok || ok && int64(m.ImageSize) != size || !ok && !errors.Is(err, reason.ImageSize) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestHardwareWithoutARevisionTakesReleasesForAll(t *testing.T) {
	m := good()
	if !m.FitsHardware("") || !m.FitsHardware("B") {
		t.Error("a release for all does not fit")
	}
	m.HardwareRevisions = []string{"A"}
	if m.FitsHardware("") || m.FitsHardware("B") || !m.FitsHardware("A") {
		t.Error("a release for A fits others")
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "9": true, "sensor_v1": true, "a.b-c:d": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, ".a": false, "-a": false, "_a": false, ":a": false, "a b": false, "a/b": false, "a\\b": false,
		"é": false, "a\x00": false, "a\n": false, "../a": false, "a%": false,
	} {
		if err := manifest.CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSequencesAndDigestsReadBack(t *testing.T) {
	for _, s := range []manifest.Sequence{0, 1, manifest.NewSequence(1, 42), math.MaxUint64} {
		got, err := manifest.ParseSequence(s.String())
		if err != nil || got != s {
			t.Errorf("%v reads back as %v (%v)", s, got, err)
		}
	}
	for _, bad := range []string{"", "1", "1.", ".1", "01.1", "1.01", "1.1.1", "-1.1", "+1.1", "4294967296.1", "1.4294967296", "1 .1"} {
		if _, err := manifest.ParseSequence(bad); err == nil {
			t.Errorf("%q is read as a sequence", bad)
		}
	}
	d := manifest.Digest{0xab, 31: 1}
	got, err := manifest.ParseDigest(d.String())
	if err != nil || got != d || d.IsZero() {
		t.Errorf("%v reads back as %v (%v)", d, got, err)
	}
	for _, bad := range []string{"", "00", strings.ToUpper(d.String()), d.String() + "00", "x" + d.String()[1:]} {
		if _, err := manifest.ParseDigest(bad); err == nil {
			t.Errorf("%q is read as a digest", bad)
		}
	}
}

func TestNewEpochIsAboveEverythingOfTheOld(t *testing.T) {
	if manifest.NewSequence(2, 1) <= manifest.NewSequence(1, math.MaxUint32) {
		t.Error("the old key could sign above the new epoch")
	}
}

// What decodes is the one encoding of what was decoded, but for fields that may
// be skipped.
func FuzzDecode(f *testing.F) {
	for _, v := range tv.Files(f)["manifest.txt"] {
		if raw := v.Bytes("object"); len(raw) > 14 {
			f.Add(payloadOf(raw))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := manifest.Decode(raw)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatalf("decodes, and does not encode: %v", err)
		}
		if !bytes.Equal(again, raw) && len(again) >= len(raw) {
			t.Fatalf("%x encodes as %x", raw, again)
		}
		if _, err := manifest.Decode(again); err != nil {
			t.Fatalf("its own encoding does not decode: %v", err)
		}
	})
}

// payloadOf cuts the payload out of a COSE_Sign of the vectors: tag, array,
// header and empty map take ten bytes.
func payloadOf(raw []byte) []byte {
	rest := raw[10:]
	switch {
	case rest[0] == 0x58:
		return rest[2:min(len(rest), 2+int(rest[1]))]
	case rest[0] == 0x59:
		return rest[3:min(len(rest), 3+int(rest[1])<<8+int(rest[2]))]
	}
	return rest
}
