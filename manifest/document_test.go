package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/manifest"
)

func TestReleaseDocumentReadsBack(t *testing.T) {
	d := manifest.Document{
		Notes: "Security patch\n\t<b>é</b> \u2028 \x00", CVEs: []string{"CVE-2024-9999", "CVE-2024-1234", "CVE-2024-1234", "CVE-2024-XXXX"},
		SBOMs: []manifest.SBOM{{Name: "bom.json", SHA256: manifest.Digest{1}}},
	}
	raw, digest, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if digest != sha256.Sum256(raw) {
		t.Error("the digest is not of the bytes")
	}
	got, err := manifest.DecodeDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Notes != d.Notes || strings.Join(got.CVEs, " ") != "CVE-2024-1234 CVE-2024-9999 CVE-2024-XXXX" || got.SBOMs[0] != d.SBOMs[0] {
		t.Errorf("reads back as %+v", got)
	}
	if d.CVEs[0] != "CVE-2024-9999" {
		t.Error("encoding sorts the caller's list")
	}
}

func TestReleaseDocumentOutOfBoundsIsNotEncoded(t *testing.T) {
	for name, c := range map[string]struct {
		d    manifest.Document
		want reason.Reason
	}{
		"another format":       {manifest.Document{Format: 2}, reason.Unsupported},
		"long notes":           {manifest.Document{Notes: strings.Repeat("x", manifest.MaxNotes+1)}, reason.InvalidField},
		"notes not UTF-8":      {manifest.Document{Notes: "\xff"}, reason.InvalidField},
		"a CVE that is none":   {manifest.Document{CVEs: []string{"CVE-1"}}, reason.InvalidField},
		"many SBOMs":           {manifest.Document{SBOMs: make([]manifest.SBOM, manifest.MaxSBOMs+1)}, reason.InvalidField},
		"an SBOM without name": {manifest.Document{SBOMs: make([]manifest.SBOM, 1)}, reason.InvalidField},
		"notes that escape":    {manifest.Document{Notes: strings.Repeat("\x01", manifest.MaxNotes)}, reason.TooLarge},
	} {
		if _, _, err := c.d.Encode(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := manifest.DecodeDocument(make([]byte, manifest.MaxDocument+1)); !errors.Is(err, reason.TooLarge) {
		t.Errorf("got %v", err)
	}
	if !(manifest.Document{Format: 1}).IsEmpty() || (manifest.Document{Notes: "x"}).IsEmpty() {
		t.Error("empty is what says nothing")
	}
}

func FuzzDecodeDocument(f *testing.F) {
	for _, v := range tv.Files(f)["release-document.txt"] {
		f.Add(v.Bytes("document"))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := manifest.DecodeDocument(raw)
		if err != nil {
			return
		}
		again, _, err := d.Encode()
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%q encodes as %q (%v)", raw, again, err)
		}
	})
}
