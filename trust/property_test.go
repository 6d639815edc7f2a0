package trust_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/cose"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

var (
	genName   = rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._:-]{0,63}`)
	genDigest = rapid.Custom(func(t *rapid.T) manifest.Digest {
		return manifest.Digest(append(rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(t, "digest"), 1))
	})
	genVersion = rapid.Custom(func(t *rapid.T) version.Version {
		v, err := version.Parse(rapid.StringMatching(`(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-rc\.[1-9])?(\+[a-z0-9]{1,9})?`).Draw(t, "version"))
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
	sameDetails = cmp.Options{cmp.Comparer(func(a, b version.Version) bool { return a == b }), cmpopts.EquateEmpty()}
)

func genManifest(t *rapid.T) *manifest.Manifest {
	epoch, number := rapid.Uint32Range(1, 2).Draw(t, "epoch"), rapid.Uint32Min(1).Draw(t, "number")
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(epoch, number), genVersion.Draw(t, "version"))
	m.HardwareRevisions = rapid.SliceOfNDistinct(genName, 0, manifest.MaxHardwareRevisions, rapid.ID).Draw(t, "hardware")
	slices.Sort(m.HardwareRevisions)
	m.Component = rapid.OneOf(rapid.Just(""), genName).Draw(t, "component")
	m.SecurityCounter = rapid.Uint32().Draw(t, "counter")
	m.ImageSize = rapid.Uint32Min(1).Draw(t, "size")
	m.ImageDigest = genDigest.Draw(t, "image")
	m.Flags = rapid.Uint8Range(0, 1).Draw(t, "security") * manifest.FlagSecurity
	if rapid.Bool().Draw(t, "downgrade") && number > 1 {
		m.Flags |= manifest.FlagDowngrade
		from := rapid.SliceOfNDistinct(rapid.Uint64Range(0, uint64(m.Sequence)-1), 1, manifest.MaxDowngradeFrom, rapid.ID).Draw(t, "from")
		slices.Sort(from)
		for _, s := range from {
			m.DowngradeFrom = append(m.DowngradeFrom, manifest.Sequence(s))
		}
	}
	m.OldestReturn = manifest.Sequence(rapid.Uint64Max(uint64(m.Sequence)).Draw(t, "return"))
	if rapid.Bool().Draw(t, "document") {
		m.ReleaseDigest = genDigest.Draw(t, "release")
	}
	return m
}

// changes has one change of each field of a manifest to another valid value.
var changes = map[string]func(*manifest.Manifest){
	"vendor":         func(m *manifest.Manifest) { m.Vendor = "acmf" },
	"type":           func(m *manifest.Manifest) { m.DeviceType = "sensor_v2" },
	"hardware":       func(m *manifest.Manifest) { m.HardwareRevisions = otherHardware(m.HardwareRevisions) },
	"component":      func(m *manifest.Manifest) { m.Component = "x" + m.Component[:min(len(m.Component), 63)] },
	"sequence":       func(m *manifest.Manifest) { m.Sequence += 1 - 2*(m.Sequence&1); m.OldestReturn = 0 },
	"version":        func(m *manifest.Manifest) { m.Version, _ = version.Parse("1" + m.Version.Core()) },
	"counter":        func(m *manifest.Manifest) { m.SecurityCounter ^= 1 },
	"size":           func(m *manifest.Manifest) { m.ImageSize ^= 2; m.ImageSize |= 1 << 31 },
	"digest":         func(m *manifest.Manifest) { m.ImageDigest[0] ^= 1 },
	"keyset version": func(m *manifest.Manifest) { m.KeysetVersion++ },
	"expiry":         func(m *manifest.Manifest) { m.Expires = m.Expires.AddDate(100, 0, 0) },
	"flags":          func(m *manifest.Manifest) { m.Flags ^= manifest.FlagSecurity },
	"return":         func(m *manifest.Manifest) { m.OldestReturn ^= 1 },
	"release":        func(m *manifest.Manifest) { m.ReleaseDigest[0] ^= 1; m.ReleaseDigest[31] = 1 },
}

func otherHardware(revisions []string) []string {
	if len(revisions) == 0 {
		return []string{"A"}
	}
	return revisions[1:]
}

// withPayload puts another payload under the signatures of raw.
func withPayload(t testing.TB, raw, payload []byte, typ cose.Typ) []byte {
	t.Helper()
	obj := must(cose.ParseSigned(raw, typ, trust.MaxManifest))(t)
	obj.Payload = payload
	return must(obj.Encode())(t)
}

func TestAnyChangedFieldOfAManifestIsRefused(t *testing.T) {
	ks := held(t, 1)
	rapid.Check(t, func(r *rapid.T) {
		m := genManifest(r)
		key := map[uint32]*tv.Key{1: release1, 2: release2}[m.Sequence.Epoch()]
		raw := signManifest(t, m, key)
		got := must(ks.VerifyManifest(raw, ring))(t)
		if diff := cmp.Diff(m, got.Manifest(), sameDetails); diff != "" {
			t.Fatalf("reads back differently:\n%s", diff)
		}
		name := rapid.SampledFrom(keysOf(changes)).Draw(r, "change")
		changed := must(manifest.Decode(must(m.Encode())(t)))(t)
		changes[name](changed)
		payload, err := changed.Encode()
		if err != nil {
			return // the change does not fit this manifest
		}
		if bytes.Equal(payload, must(m.Encode())(t)) {
			r.Fatalf("changing the %s changes nothing", name)
		}
		if _, err := ks.VerifyManifest(withPayload(t, raw, payload, cose.TypManifest), ring); trust.ReasonOf(err) != trust.ErrBadSignature {
			r.Fatalf("with another %s: %v", name, err)
		}
	})
}

// Each change of the table does change a plain manifest: otherwise the property
// above could pass over a field.
func TestEveryFieldOfAManifestIsChanged(t *testing.T) {
	ks := held(t, 1)
	m := release(1, 5, "2.1.0")
	m.Expires = now
	raw := signManifest(t, m, release1)
	for name, change := range changes {
		changed := must(manifest.Decode(must(m.Encode())(t)))(t)
		change(changed)
		_, err := ks.VerifyManifest(withPayload(t, raw, must(changed.Encode())(t), cose.TypManifest), ring)
		if trust.ReasonOf(err) != trust.ErrBadSignature {
			t.Errorf("with another %s: %v", name, err)
		}
	}
}

func keysOf[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestAnyChangedFieldOfAKeysetIsRefused(t *testing.T) {
	changes := map[string]func(*trust.Keyset){
		"vendor":            func(ks *trust.Keyset) { ks.Vendor = "" },
		"type":              func(ks *trust.Keyset) { ks.DeviceType = "sensor_v2" },
		"version":           func(ks *trust.Keyset) { ks.Version++ },
		"roots":             func(ks *trust.Keyset) { ks.Roots = ks.Roots[:2] },
		"a root's id":       func(ks *trust.Keyset) { ks.Roots[0].ID[31] ^= 1 },
		"a root's alg":      func(ks *trust.Keyset) { ks.Roots[0].Algorithm = trust.ESP256 },
		"root threshold":    func(ks *trust.Keyset) { ks.RootThreshold = 1 },
		"release keys":      func(ks *trust.Keyset) { ks.Releases = append(ks.Releases, release3.Signer(1)) },
		"a release epoch":   func(ks *trust.Keyset) { ks.Releases[0].Epoch++ },
		"release threshold": func(ks *trust.Keyset) { ks.Releases[0].Epoch, ks.Releases[1].Epoch, ks.ReleaseThreshold = 1, 1, 2 },
		"floor":             func(ks *trust.Keyset) { ks.SecurityFloor++ },
		"freshness":         func(ks *trust.Keyset) { ks.ServiceSkipsFreshness = true },
	}
	raw := signKeyset(t, keyset(2), rootA, rootB)
	for name, change := range changes {
		ks := keyset(2)
		change(ks)
		_, err := held(t, 1).Accept(withPayload(t, raw, must(ks.Encode())(t), cose.TypKeyset), ring)
		if trust.ReasonOf(err) != trust.ErrBadSignature {
			t.Errorf("with another %s: %v", name, err)
		}
	}
}

func TestAnyChangedFieldOfAMessageIsRefused(t *testing.T) {
	keys := deviceKeys(t, device.ID, 1)
	graft := func(tagOf, payloadOf []byte) []byte { // the tag is the last 32 bytes
		n := len(payloadOf) - 32
		return append(bytes.Clone(payloadOf[:n]), tagOf[len(tagOf)-32:]...)
	}
	asked := must(request(17).Seal(keys.Up))(t)
	for name, change := range map[string]func(*trust.CheckRequest){
		"nonce": func(r *trust.CheckRequest) { r.Nonce++ }, "sequence": func(r *trust.CheckRequest) { r.Sequence++ },
		"digest": func(r *trust.CheckRequest) { r.ImageDigest[0] ^= 1 }, "keyset version": func(r *trust.CheckRequest) { r.KeysetVersion++ },
		"boot": func(r *trust.CheckRequest) { r.Boot = 0 }, "last error": func(r *trust.CheckRequest) { r.LastError = 0 },
		"hardware": func(r *trust.CheckRequest) { r.HardwareRevision = "C" }, "capabilities": func(r *trust.CheckRequest) { r.Capabilities = 0 },
	} {
		r := request(17)
		change(&r)
		_, err := trust.OpenCheckRequest(graft(asked, must(r.Seal(keys.Up))(t)), keyOf(t))
		if trust.ReasonOf(err) != trust.ErrBadMAC {
			t.Errorf("request with another %s: %v", name, err)
		}
	}
	answered := must(response(17).Seal(keys.Down))(t)
	for name, change := range map[string]func(*trust.CheckResponse){
		"time": func(r *trust.CheckResponse) { r.ServerTime++ }, "keyset version": func(r *trust.CheckResponse) { r.KeysetVersion++ },
		"retry": func(r *trust.CheckResponse) { r.RetrySeconds++ }, "hash": func(r *trust.CheckResponse) { r.ManifestHash[0] ^= 1 },
		"size": func(r *trust.CheckResponse) { r.ManifestSize++ }, "nothing": func(r *trust.CheckResponse) { r.ManifestHash, r.ManifestSize, r.Patch = manifest.Digest{}, 0, nil },
		"patch": func(r *trust.CheckResponse) { r.Patch.Size++ }, "no patch": func(r *trust.CheckResponse) { r.Patch = nil },
		"retry rejected": func(r *trust.CheckResponse) { r.RetryRejected = false },
	} {
		r := response(17)
		change(&r)
		_, err := trust.OpenCheckResponse(graft(answered, must(r.Seal(keys.Down))(t)), keys.Down, device.ID, 17)
		if trust.ReasonOf(err) != trust.ErrBadMAC {
			t.Errorf("response with another %s: %v", name, err)
		}
	}
	told := must(report(18).Seal(keys.Up))(t)
	for name, change := range map[string]func(*trust.Report){
		"nonce": func(r *trust.Report) { r.Nonce++ }, "event": func(r *trust.Report) { r.Event = trust.EventConfirmed },
		"sequence": func(r *trust.Report) { r.Sequence++ }, "digest": func(r *trust.Report) { r.ImageDigest[0] ^= 1 },
		"target": func(r *trust.Report) { r.Target[0] ^= 1 }, "reason": func(r *trust.Report) { r.Reason++ }, "detail": func(r *trust.Report) { r.Detail = "" },
	} {
		r := report(18)
		change(&r)
		_, err := trust.OpenReport(graft(told, must(r.Seal(keys.Up))(t)), keyOf(t))
		if trust.ReasonOf(err) != trust.ErrBadMAC {
			t.Errorf("report with another %s: %v", name, err)
		}
	}
}

func TestKeysetRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) trust.KeyID {
			return trust.KeyID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		}), 2, 16, trust.KeyID.KID).Draw(r, "ids")
		algorithm := rapid.SampledFrom([]trust.Algorithm{trust.PS256, trust.ESP256, trust.Ed25519})
		ks := &trust.Keyset{
			Vendor: rapid.OneOf(rapid.Just(""), genName).Draw(r, "vendor"), DeviceType: genName.Draw(r, "type"),
			Version: rapid.Uint32Min(1).Draw(r, "version"), SecurityFloor: rapid.Uint32().Draw(r, "floor"),
			ServiceSkipsFreshness: rapid.Bool().Draw(r, "service"), ReleaseThreshold: 1,
		}
		for i, id := range ids {
			k := trust.SignerKey{ID: id, Algorithm: algorithm.Draw(r, "algorithm")}
			if i < (len(ids)+1)/2 {
				ks.Roots = append(ks.Roots, k)
				continue
			}
			k.Epoch = rapid.Uint32Min(1).Draw(r, "epoch")
			ks.Releases = append(ks.Releases, k)
		}
		ks.RootThreshold = rapid.IntRange(1, len(ks.Roots)).Draw(r, "threshold")
		raw := must(ks.Encode())(t)
		again := must(trust.DecodeKeyset(raw))(t)
		if diff := cmp.Diff(ks, again); diff != "" {
			r.Fatalf("reads back differently:\n%s", diff)
		}
		if !bytes.Equal(must(again.Encode())(t), raw) {
			r.Fatal("encodes to other bytes")
		}
	})
}

func TestBundleRoundTrip(t *testing.T) {
	b := trust.Bundle{
		Keysets: [][]byte{signKeyset(t, keyset(1), rootA, rootB), signKeyset(t, keyset(2), rootA, rootB)}, Keys: ring,
		Manifest: signManifest(t, release(1, 5, "2.1.0"), release1), ReleaseDocument: []byte(`{}`),
	}
	for _, b := range []trust.Bundle{b, {}} {
		raw := must(b.Encode())(t)
		again := must(trust.DecodeBundle(raw))(t)
		if !bytes.Equal(must(again.Encode())(t), raw) || len(again.Keys) != len(b.Keys) || len(again.Keysets) != len(b.Keysets) {
			t.Error("encodes to other bytes")
		}
	}
	for name, b := range map[string]trust.Bundle{
		"keysets":  {Keysets: make([][]byte, 65)},
		"document": {ReleaseDocument: make([]byte, trust.MaxReleaseDocument+1)},
		"bytes":    {Manifest: make([]byte, trust.MaxBundle)},
	} {
		_, err := b.Encode()
		if trust.ReasonOf(err) != trust.ErrTooLarge {
			t.Errorf("too many %s: %v", name, err)
		}
	}
	_, err := trust.DecodeBundle(make([]byte, trust.MaxBundle+1))
	wantReason(t, err, trust.ErrTooLarge)
}
