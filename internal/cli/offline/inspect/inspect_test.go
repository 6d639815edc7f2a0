package inspect

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// objects returns one of each kind, and what to hold them against.
func objects(t testing.TB) (map[string][]byte, Context) {
	t.Helper()
	root, err := signing.Generate(trust.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	release, err := signing.Generate(trust.ESP256)
	if err != nil {
		t.Fatal(err)
	}
	must := func(raw []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	ks := &trust.Keyset{
		Vendor: "acme", DeviceType: "sensor", Version: 1, RootThreshold: 1, ReleaseThreshold: 1,
		Roots:    []trust.SignerKey{{ID: root.Public().ID(), Algorithm: trust.Ed25519}},
		Releases: []trust.SignerKey{{ID: release.Public().ID(), Algorithm: trust.ESP256, Epoch: 1}},
	}
	keyset := must(trust.SignKeyset(must(trust.UnsignedKeyset(ks)), root))
	v, _ := version.Parse("1.0.0")
	document, digest, err := manifest.Document{Notes: "notes", CVEs: []string{"CVE-2024-12345"}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m := manifest.New("acme", "sensor", manifest.NewSequence(1, 2), v)
	m.ReleaseDigest, m.DowngradeFrom, m.Flags = digest, []manifest.Sequence{manifest.NewSequence(1, 1)}, manifest.FlagDowngrade
	m.ImageDigest, m.ImageSize = manifest.Digest{1}, 1
	signed := must(trust.SignManifest(must(trust.UnsignedManifest(m)), release))
	ring := trust.NewKeyRing(root.Public(), release.Public())
	device := trust.DeviceKeys{Up: trust.DeviceKey{1}, Down: trust.DeviceKey{2}}
	request := trust.CheckRequest{Device: "d", DeviceType: "sensor", Nonce: 1, Boot: trust.BootTrial, LastError: trust.ErrExpired}
	response := trust.CheckResponse{Device: "d", Nonce: 1, ManifestHash: manifest.Digest{1}, ManifestSize: 9, Patch: &trust.Patch{Format: 1, Size: 2}}
	report := trust.Report{Device: "d", DeviceType: "sensor", Nonce: 2, Event: trust.EventRefused, Reason: trust.ErrExpired, Detail: "x"}
	held, err := trust.OpenHeld(keyset, ring)
	if err != nil {
		t.Fatal(err)
	}
	c := Context{
		Ring:    ring,
		Keysets: func(string) []trust.VerifiedKeyset { return []trust.VerifiedKeyset{held} },
		Device:  func(_, id string) (trust.DeviceKeys, bool) { return device, id == "d" },
	}
	return map[string][]byte{
		"keyset":                keyset,
		"manifest":              signed,
		"release document":      document,
		"bundle":                must(trust.Bundle{Keysets: [][]byte{keyset}, Keys: ring, Manifest: signed, ReleaseDocument: document}.Encode()),
		"public key":            root.Public().PEM(),
		"public key (COSE_Key)": root.Public().COSEKey(),
		"private key":           must(release.MarshalPEM(nil)),
		"check request":         must(request.Seal(device.Up)),
		"check response":        must(response.Seal(device.Down)),
		"report":                must(report.Seal(device.Up)),
		"bare signature":        make([]byte, trust.BareSignatureSize),
		"bare MAC":              append([]byte{1}, make([]byte, 31)...),
	}, c
}

func TestEveryKindIsRecognisedByItsContent(t *testing.T) {
	all, c := objects(t)
	for kind, data := range all {
		r, err := Object(data, c)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if got := r.Record.Get("kind"); got != kind {
			t.Errorf("%s is taken for a %v", kind, got)
		}
		if r.Verdict == Refused {
			t.Errorf("%s does not verify: %v", kind, r.Err)
		}
	}
	for _, kind := range []string{"keyset", "manifest", "bundle", "check request", "check response", "report"} {
		if r, _ := Object(all[kind], c); kind != "bundle" && r.Verdict != Verified {
			t.Errorf("%s: verdict %s", kind, r.Verdict)
		}
	}
}

// A bare signature is random: whatever it begins with, it is one.
func TestBareSignatureMayBeginLikeAnything(t *testing.T) {
	for _, begin := range []string{"\xa5\x01", "\xa2\x00", "{\"", "\xd1\x84", "\xd8\x62", "0\x82", "0*"} {
		data := append([]byte(begin), make([]byte, trust.BareSignatureSize-len(begin))...)
		r, err := Object(data, Context{})
		if err != nil || r.Record.Get("kind") != "bare signature" {
			t.Errorf("%x...: %v, %v", begin, r.Record.Get("kind"), err)
		}
	}
}

// A changed bit never verifies, whatever the change makes of the object.
func TestChangedBitsNeverVerify(t *testing.T) {
	all, c := objects(t)
	for _, kind := range []string{"keyset", "manifest", "check request", "check response", "report"} {
		data := all[kind]
		for bit := range len(data) * 8 {
			changed := append([]byte(nil), data...)
			changed[bit/8] ^= 1 << (bit % 8)
			if r, err := Object(changed, c); err == nil && r.Verdict == Verified {
				t.Fatalf("%s with bit %d changed verifies", kind, bit)
			}
		}
	}
}

func TestUncheckedIsTheZeroVerdict(t *testing.T) {
	var v Verdict
	if v != Unchecked {
		t.Error("the zero verdict approves")
	}
}

func FuzzObject(f *testing.F) {
	all, c := objects(f)
	for _, data := range all {
		f.Add(data)
	}
	vectors, _ := filepath.Glob(filepath.Join("..", "..", "..", "..", "testvectors", "*"))
	for _, name := range vectors {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Object(data, c)
		if err != nil {
			return
		}
		if err := record.WriteJSON(discard{}, r.Record); err != nil {
			t.Errorf("explained, but not printable: %v", err)
		}
		if err := r.Record.WriteText(discard{}); err != nil {
			t.Error(err)
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
