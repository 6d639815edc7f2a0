package repository

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

func TestWhatIsPublishedIsThereAfterReopening(t *testing.T) {
	v := newVendor("sensor_v1")
	dir := t.TempDir()
	clock := time.UnixMilli(1_900_000_000_123).UTC()
	database, blobs := place.Of(t, dir)
	r, err := Open(t.Context(), Config{Dir: dir, Database: database, Blobs: blobs, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddKeyset(t.Context(), alice, v.keyset(1)); err != nil {
		t.Fatal(err)
	}
	doc := &manifest.Document{Notes: "Security patch", CVEs: []string{"CVE-2024-12345"}}
	b, image := v.release(draft{number: 1, version: "2.1.0", document: doc})
	added, err := r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	r = openDir(t, dir)
	wantReleases(t, r, "sensor_v1", "2.1.0")
	byIdentity, err1 := r.Release(t.Context(), added.Identity())
	byHash, err2 := r.ByManifestHash(t.Context(), added.ManifestHash)
	byImage, err3 := r.ByImage(t.Context(), added.Image.SHA256)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for _, found := range append(byImage, byIdentity, byHash) {
		if diff := cmp.Diff(added, found, cmp.Comparer(sameManifest)); diff != "" {
			t.Error(diff)
		}
	}
	if added.Published != clock || added.PublishedBy != alice.Name || added.KeysetVersion != 1 || !bytes.Equal(added.Manifest.Bytes(), b.Manifest) {
		t.Errorf("%+v", added)
	}
	raw, err := r.Document(t.Context(), added.Manifest.Manifest().ReleaseDigest)
	if err != nil || !bytes.Equal(raw, b.ReleaseDocument) {
		t.Errorf("document %s, %v", raw, err)
	}
	types, err := r.Types(t.Context())
	if err != nil || len(types) != 1 || types[0] != "sensor_v1" {
		t.Errorf("%v, %v", types, err)
	}
	wantSound(t, r)
}

func sameManifest(a, b trust.VerifiedManifest) bool { return bytes.Equal(a.Bytes(), b.Bytes()) }

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	r := started(t, newVendor("sensor_v1"))
	_, err := r.Release(t.Context(), manifest.Digest{1})
	wantErr(t, err, ErrNotFound)
	_, err = r.ByManifestHash(t.Context(), manifest.Digest{1})
	wantErr(t, err, ErrNotFound)
	_, err = r.Document(t.Context(), manifest.Digest{1})
	wantErr(t, err, ErrNotFound)
	_, _, err = r.Firmware(t.Context(), manifest.Digest{1})
	wantErr(t, err, ErrNotFound)
	_, err = r.Keyset(t.Context(), "sensor_v1", 2)
	wantErr(t, err, ErrNotFound)
	_, err = r.LatestKeyset(t.Context(), "other")
	wantErr(t, err, ErrNotFound)
	_, err = r.Key(t.Context(), trust.KeyID{1})
	wantErr(t, err, ErrNotFound)
	wantErr(t, r.Withdraw(t.Context(), alice, manifest.Digest{1}, ""), ErrNotFound)
	wantReleases(t, r, "other")
}

// Each case is refused with its errors, and leaves nothing.
func TestWhatMustNotBePublishedIsRefused(t *testing.T) {
	v, other := newVendor("sensor_v1"), newVendor("gateway")
	v.floor = 2
	counter := func(n uint32) func(*manifest.Manifest) {
		return func(m *manifest.Manifest) { m.SecurityCounter = n }
	}
	downgrade := func(m *manifest.Manifest) {
		m.SecurityCounter = 3
		m.Flags |= manifest.FlagDowngrade
		m.DowngradeFrom = []manifest.Sequence{manifest.NewSequence(1, 11)}
	}
	doc := &manifest.Document{Notes: "notes"}
	r := started(t, v)
	if _, err := r.AddKeyset(t.Context(), alice, other.keyset(1)); err != nil {
		t.Fatal(err)
	}
	publish(t, r, v, draft{number: 10, version: "1.0.0", change: counter(2)})
	publish(t, r, v, draft{number: 11, version: "1.1.0", change: counter(3)})
	for name, c := range map[string]struct {
		draft  draft
		bundle func(*trust.Bundle)
		image  func([]byte) []byte
		want   []error
	}{
		"unsigned":             {draft: draft{signers: []*signing.Key{}}, want: []error{ErrUnsigned, trust.ErrNotEnoughSigners}},
		"unknown key":          {draft: draft{signers: []*signing.Key{newKey()}}, want: []error{trust.ErrNotEnoughSigners}},
		"root key":             {draft: draft{signers: v.roots[:1]}, want: []error{trust.ErrNotEnoughSigners}},
		"other type's key":     {draft: draft{signers: other.releases}, want: []error{ErrWrongTypeKey, trust.ErrNotEnoughSigners}},
		"wrong epoch":          {draft: draft{epoch: 2, signers: v.releases}, want: []error{trust.ErrWrongEpoch}},
		"other vendor":         {draft: draft{change: func(m *manifest.Manifest) { m.Vendor = "evil" }}, want: []error{trust.ErrWrongVendor}},
		"newer keyset":         {draft: draft{change: func(m *manifest.Manifest) { m.KeysetVersion = 2 }}, want: []error{trust.ErrKeysetTooOld}},
		"changed":              {bundle: func(b *trust.Bundle) { b.Manifest[60] ^= 1 }, want: []error{errAny}},
		"no manifest":          {bundle: func(b *trust.Bundle) { b.Manifest = nil }, want: []error{ErrNoManifest}},
		"type without keyset":  {draft: draft{change: func(m *manifest.Manifest) { m.DeviceType = "new" }}, want: []error{ErrUnknownType}},
		"keyset of a new type": {bundle: func(b *trust.Bundle) { b.Keysets = newVendor("new").keyset(1).Keysets }, want: []error{ErrUnknownType}},

		"same version":       {draft: draft{version: "1.1.0"}, want: []error{ErrVersion, trust.ErrOldVersion}},
		"build metadata":     {draft: draft{version: "1.1.0+new"}, want: []error{ErrVersion}},
		"lower version":      {draft: draft{version: "1.0.5"}, want: []error{ErrVersion}},
		"prerelease":         {draft: draft{version: "1.1.0-rc.1"}, want: []error{ErrVersion}},
		"same sequence":      {draft: draft{number: 11}, want: []error{ErrSequence, trust.ErrOldSequence}},
		"lower sequence":     {draft: draft{number: 5}, want: []error{ErrSequence}},
		"below keyset floor": {draft: draft{change: counter(1)}, want: []error{ErrBelowFloor, trust.ErrBelowFloor}},
		"below published":    {draft: draft{change: counter(2)}, want: []error{ErrBelowFloor}},

		"downgrade to nothing":        {draft: draft{version: "0.9.0", change: downgrade}, want: []error{ErrDowngrade}},
		"downgrade with other image":  {draft: draft{version: "1.0.0", image: []byte("x"), change: downgrade}, want: []error{ErrDowngrade}},
		"downgrade below the floor":   {draft: draft{version: "1.0.0", change: func(m *manifest.Manifest) { downgrade(m); m.SecurityCounter = 2 }}, want: []error{ErrBelowFloor}},
		"downgrade without new place": {draft: draft{version: "1.0.0", number: 11, change: func(m *manifest.Manifest) { downgrade(m); m.DowngradeFrom[0]-- }}, want: []error{ErrSequence}},

		"image of other bytes": {image: func(b []byte) []byte { b[0] ^= 1; return b }, want: []error{ErrImage, trust.ErrImageDigest}},
		"image too short":      {image: func(b []byte) []byte { return b[1:] }, want: []error{ErrImage, trust.ErrImageSize}},
		"image too long":       {image: func(b []byte) []byte { return append(b, 0) }, want: []error{ErrImage, trust.ErrImageSize}},
		"known image, changed": {draft: draft{image: firmwareOf("1.0.0")}, image: func(b []byte) []byte { b[0] ^= 1; return b }, want: []error{ErrImage, trust.ErrImageDigest}},

		"document missing": {draft: draft{document: doc}, bundle: func(b *trust.Bundle) { b.ReleaseDocument = nil }, want: []error{ErrDocument}},
		"document changed": {draft: draft{document: doc}, bundle: func(b *trust.Bundle) {
			b.ReleaseDocument = bytes.Replace(b.ReleaseDocument, []byte("notes\""), []byte("Notes\""), 1)
		}, want: []error{ErrDocument}},
		"document unnamed": {bundle: func(b *trust.Bundle) { b.ReleaseDocument = []byte("{}") }, want: []error{ErrDocument}},
		"document signed, but none": {draft: draft{change: func(m *manifest.Manifest) {
			m.SecurityCounter = 3
			m.ReleaseDigest = manifest.Digest(must(manifest.ParseDigest("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"))) // of {}
		}}, bundle: func(b *trust.Bundle) { b.ReleaseDocument = []byte("{}") }, want: []error{ErrDocument}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.draft.version == "" {
				c.draft.version = "1.2.0"
			}
			if c.draft.number == 0 {
				c.draft.number = 12
			}
			if inner := c.draft.change; inner != nil {
				c.draft.change = func(m *manifest.Manifest) { m.SecurityCounter = 3; inner(m) }
			} else {
				c.draft.change = counter(3)
			}
			b, image := v.release(c.draft)
			if c.bundle != nil {
				c.bundle(&b)
			}
			if c.image != nil {
				image = c.image(bytes.Clone(image))
			}
			_, err := r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image))
			for _, want := range c.want {
				if want == errAny && err == nil || want != errAny && !errors.Is(err, want) {
					t.Errorf("got  %v\nwant %v", err, want)
				}
			}
			wantReleases(t, r, "sensor_v1", "1.1.0", "1.0.0")
			if report := wantSound(t, r); len(report.Leftovers) > 0 || report.AuditRecords != 4 {
				t.Errorf("left behind: %v, %d audit records", report.Leftovers, report.AuditRecords)
			}
		})
	}
}

var errAny = errors.New("any error")

func TestADowngradeReissuesAKnownRelease(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	publish(t, r, v, draft{number: 1, version: "1.0.0"})
	publish(t, r, v, draft{number: 2, version: "1.1.0"})
	down := func(m *manifest.Manifest) {
		m.Flags |= manifest.FlagDowngrade
		m.DowngradeFrom = []manifest.Sequence{manifest.NewSequence(1, 2)}
	}
	publish(t, r, v, draft{number: 3, version: "1.0.0", change: down})
	publish(t, r, v, draft{number: 4, version: "1.0.0", change: down})
	wantReleases(t, r, "sensor_v1", "1.0.0", "1.0.0", "1.1.0", "1.0.0")
	// What comes next is above everything, not above the downgrade.
	b, image := v.release(draft{number: 5, version: "1.0.1"})
	_, err := r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image))
	wantErr(t, err, ErrVersion)
	publish(t, r, v, draft{number: 5, version: "1.2.0"})
	wantSound(t, r)
}

func TestComponentsHaveVersionsOfTheirOwn(t *testing.T) {
	v := newVendor("gateway")
	r := started(t, v)
	radio := func(m *manifest.Manifest) { m.Component = "radio" }
	publish(t, r, v, draft{number: 1, version: "2.0.0"})
	publish(t, r, v, draft{number: 2, version: "1.0.0", image: []byte("radio 1"), change: radio})
	publish(t, r, v, draft{number: 3, version: "2.0.0", image: []byte("radio 2"), change: radio})
	b, image := v.release(draft{number: 4, version: "1.5.0", image: []byte("radio 3"), change: radio})
	_, err := r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image))
	wantErr(t, err, ErrVersion)
	wantSound(t, r)
}

func TestANewEpochStartsFromTheFloorOfTheKeyset(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	// A stolen key signed the largest numbers there are.
	publish(t, r, v, draft{number: 1<<32 - 1, version: "1.0.0", change: func(m *manifest.Manifest) { m.SecurityCounter = 1<<32 - 1 }})
	v.releases = append(v.releases, newKey())
	b, image := v.release(draft{epoch: 2, number: 1, version: "1.0.1"})
	b2 := v.keyset(2)
	b.Keysets, b.Keys = b2.Keysets, b2.Keys
	if _, err := r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image)); err != nil {
		t.Error(err)
	}
	wantReleases(t, r, "sensor_v1", "1.0.1", "1.0.0")
	wantSound(t, r)
}

func TestARevokedKeyIsRefusedByThatName(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	publish(t, r, v, draft{number: 1, version: "1.0.0"})
	stolen := v.releases[0]
	v.releases = []*signing.Key{nil, newKey()}
	if _, err := r.AddKeyset(t.Context(), alice, v.keyset(2)); err != nil {
		t.Fatal(err)
	}
	b, image := v.release(draft{number: 2, version: "1.1.0", signers: []*signing.Key{stolen}})
	_, err := r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image))
	wantErr(t, err, ErrRevokedKey, trust.ErrNotEnoughSigners)
	// What it signed in its day stays published.
	wantReleases(t, r, "sensor_v1", "1.0.0")
	publish(t, r, v, draft{epoch: 2, number: 1, version: "1.1.0"})
	wantSound(t, r)
}

func TestAThresholdOfTwoNeedsTwo(t *testing.T) {
	v := newVendor("critical")
	v.threshold = 2
	second := newKey()
	b := v.keysetWithTwo(1, second)
	r := openDir(t, t.TempDir())
	if _, err := r.AddKeyset(t.Context(), alice, b); err != nil {
		t.Fatal(err)
	}
	one, image := v.release(draft{number: 1, version: "1.0.0"})
	_, err := r.AddFirmware(t.Context(), alice, one, bytes.NewReader(image))
	wantErr(t, err, trust.ErrNotEnoughSigners)
	two, image := v.release(draft{number: 1, version: "1.0.0", signers: []*signing.Key{v.releases[0], second}})
	if _, err := r.AddFirmware(t.Context(), alice, two, bytes.NewReader(image)); err != nil {
		t.Error(err)
	}
}

// A key that signed enough under an older keyset is not revoked because the
// newest asks for more.
func TestOneSignatureUnderARaisedThresholdIsNotCalledRevoked(t *testing.T) {
	v := newVendor("critical")
	second := newKey()
	r := openDir(t, t.TempDir())
	if _, err := r.AddKeyset(t.Context(), alice, v.keysetWithTwo(1, second)); err != nil {
		t.Fatal(err)
	}
	v.threshold = 2
	if _, err := r.AddKeyset(t.Context(), alice, v.keysetWithTwo(2, second)); err != nil {
		t.Fatal(err)
	}
	b, image := v.release(draft{number: 1, version: "1.0.0"})
	_, err := r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image))
	wantErr(t, err, trust.ErrNotEnoughSigners)
	if errors.Is(err, ErrRevokedKey) {
		t.Error(err)
	}
}

// keysetWithTwo returns a keyset with two release keys of epoch 1.
func (v *vendor) keysetWithTwo(version uint32, second *signing.Key) trust.Bundle {
	ks := &trust.Keyset{Vendor: "acme", DeviceType: v.deviceType, Version: version, RootThreshold: 1, ReleaseThreshold: v.threshold}
	keys := trust.NewKeyRing(v.roots[0].Public(), v.releases[0].Public(), second.Public())
	ks.Roots = []trust.SignerKey{{ID: v.roots[0].Public().ID(), Algorithm: trust.Ed25519}}
	for _, k := range []*signing.Key{v.releases[0], second} {
		ks.Releases = append(ks.Releases, trust.SignerKey{ID: k.Public().ID(), Algorithm: trust.Ed25519, Epoch: 1})
	}
	raw := must(trust.SignKeyset(must(trust.UnsignedKeyset(ks)), v.roots[0]))
	return trust.Bundle{Keysets: [][]byte{raw}, Keys: keys}
}

func TestPublishingTheSameReleaseAgainChangesNothing(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	first := publish(t, r, v, draft{number: 1, version: "1.0.0"})
	publish(t, r, v, draft{number: 2, version: "2.0.0"})
	before, err := r.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := publish(t, r, v, draft{number: 1, version: "1.0.0"})
	if diff := cmp.Diff(first, again, cmp.Comparer(sameManifest)); diff != "" {
		t.Error(diff)
	}
	b, _ := v.release(draft{number: 1, version: "1.0.0"})
	if _, err := r.AddRelease(t.Context(), alice, b); err != nil {
		t.Error(err)
	}
	if after, err := r.Revision(t.Context()); err != nil || after != before {
		t.Errorf("revision %d, then %d, %v", before, after, err)
	}
	wantReleases(t, r, "sensor_v1", "2.0.0", "1.0.0")
	if report := wantSound(t, r); report.AuditRecords != 3 {
		t.Errorf("%d audit records, want 3", report.AuditRecords)
	}
}

func TestWithdrawnReleasesStayButAreMarked(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	release := publish(t, r, v, draft{number: 1, version: "1.0.0"})
	if err := r.Withdraw(t.Context(), alice, release.Identity(), strings.Repeat("x", MaxReason+1)); err == nil {
		t.Error("an endless reason was taken")
	}
	for range 2 {
		if err := r.Withdraw(t.Context(), alice, release.Identity(), "bricks\nrev B"); err != nil {
			t.Fatal(err)
		}
	}
	found, err := r.Release(t.Context(), release.Identity())
	if err != nil || !found.Withdrawn() || found.Withdrawal.By != alice.Name || found.Withdrawal.Reason != "bricks\nrev B" {
		t.Errorf("%+v, %v", found.Withdrawal, err)
	}
	if err := readable(r, found); err != nil {
		t.Error(err)
	}
	b, image := v.release(draft{number: 1, version: "1.0.0"})
	_, err = r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image))
	wantErr(t, err, ErrWithdrawn)
	// A device may run it: its version and sequence are spent.
	b, image = v.release(draft{number: 2, version: "1.0.0", image: []byte("other")})
	_, err = r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image))
	wantErr(t, err, ErrVersion)
	records, err := r.Store().AuditRecords(t.Context(), audit.Filter{Action: "release."})
	if err != nil || len(records) != 2 || records[0].Object != "release:"+release.Identity().String() {
		t.Errorf("%v, %v", records, err)
	}
	wantSound(t, r)
}

func TestReleaseOfAnUploadedImage(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	b, image := v.release(draft{number: 1, version: "1.0.0"})
	_, err := r.AddRelease(t.Context(), alice, b)
	wantErr(t, err, ErrNoImage)
	m, err := r.CheckRelease(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	state, err := r.BeginUpload(t.Context(), m.ImageDigest, int64(m.ImageSize))
	if err != nil || state.Offset != 0 || state.Stored {
		t.Fatalf("%+v, %v", state, err)
	}
	end, err := r.ContinueUpload(t.Context(), m.ImageDigest, 0, bytes.NewReader(image[:500]))
	if err != nil || end != 500 {
		t.Fatal(end, err)
	}
	wantErr(t, r.FinishUpload(t.Context(), m.ImageDigest), ErrImage)
	var wrong *UploadOffsetError
	if _, err := r.ContinueUpload(t.Context(), m.ImageDigest, 0, bytes.NewReader(image)); !errors.As(err, &wrong) || wrong.Want != 500 {
		t.Error(err)
	}
	_, err = r.AddRelease(t.Context(), alice, b)
	wantErr(t, err, ErrNoImage)
	traces := 2
	if place.Shared() {
		traces = 1 // one object
	}
	if report := wantSound(t, r); len(report.Leftovers) != traces {
		t.Errorf("leftovers: %v", report.Leftovers)
	}
	if _, err := r.ContinueUpload(t.Context(), m.ImageDigest, 500, bytes.NewReader(image[500:])); err != nil {
		t.Fatal(err)
	}
	if err := r.FinishUpload(t.Context(), m.ImageDigest); err != nil {
		t.Fatal(err)
	}
	wantReleases(t, r, "sensor_v1")
	if _, err := r.AddRelease(t.Context(), alice, b); err != nil {
		t.Fatal(err)
	}
	wantReleases(t, r, "sensor_v1", "1.0.0")
	if report := wantSound(t, r); len(report.Leftovers) != 0 {
		t.Errorf("leftovers: %v", report.Leftovers)
	}
}

func TestAReleaseIsRecordedWithWhoAndWhat(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	release := publish(t, r, v, draft{number: 7, version: "1.0.0"})
	page, err := r.Store().AuditRecords(t.Context(), audit.Filter{Oldest: true})
	if err != nil || len(page) != 2 {
		t.Fatal(page, err)
	}
	got := page[0].Action + " " + page[0].Object + " | " + page[1].Actor + " " + page[1].Action + " " + page[1].Object + " " + page[1].Address + " " + string(page[1].After)
	want := "keyset.add keyset:sensor_v1 | user:alice release.publish release:" + release.Identity().String() +
		` 192.0.2.1 {"device_type":"sensor_v1","version":"1.0.0","sequence":"1.7","image":"` + release.Image.SHA256.String() + `","downgrade":false}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Who cannot be recorded cannot act.
	b, image := v.release(draft{number: 8, version: "2.0.0"})
	_, err = r.AddFirmware(t.Context(), Actor{Name: "mallory\nroot"}, b, bytes.NewReader(image))
	wantErr(t, err, audit.ErrInvalid)
	wantReleases(t, r, "sensor_v1", "1.0.0")
}
