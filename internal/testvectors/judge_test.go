package testvectors_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// A judge gives the verdict on a vector, and what it read where it accepts.
type judge func(t *testing.T, v tv.Vector) (says map[string]string, verdict error)

var judges = map[string]judge{
	"cbor": judgeItem, "cose-key": judgeCOSEKey, "keyset": judgeKeyset, "manifest": judgeManifest, "device-key": judgeDeviceKey,
	"check-request": judgeRequest, "check-response": judgeResponse, "report": judgeReport, "bare": judgeBare, "bundle": judgeBundle,
	"return": judgeReturn, "release-document": judgeDocument,
}

func TestEveryVectorGetsItsVerdict(t *testing.T) {
	files := tv.Files(t)
	if len(files) != len(judges) {
		t.Fatalf("%d files of vectors, judges for %d kinds", len(files), len(judges))
	}
	for name, vectors := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range vectors {
				says, err := judges[v.Kind](t, v)
				if got := reason.Of(err); got != v.Expect {
					t.Errorf("%s: got %d (%v), want %d %v", v.Name, uint8(got), err, uint8(v.Expect), v.Expect)
				}
				if err != nil {
					continue
				}
				for key, got := range says {
					if want, ok := v.Lookup(key); ok && want != got {
						t.Errorf("%s: read %s %q, want %q", v.Name, key, got, want)
					}
				}
			}
		})
	}
}

// A vector without which a rule could be left out unnoticed is one for each
// reason that concerns an object or what a device holds against it.
func TestEveryReasonAnObjectCanBeRefusedForHasAVector(t *testing.T) {
	seen := map[reason.Reason]bool{}
	for _, vectors := range tv.Files(t) {
		for _, v := range vectors {
			seen[v.Expect] = true
		}
	}
	elsewhere := []reason.Reason{ // about images, storage and the running device
		reason.ImageDigest, reason.NotNamed, reason.NoDeviceKey, reason.Storage, reason.Transport,
		reason.HealthCheck, reason.TriesExhausted, reason.WatchdogReset, reason.OperatorRequested, reason.Internal,
	}
	for _, r := range reason.All() {
		if seen[r] == slices.Contains(elsewhere, r) {
			t.Errorf("reason %d %v: has a vector: %v", uint8(r), r, seen[r])
		}
	}
}

func num[T ~uint8 | ~uint32 | ~uint64 | ~int](n T) string { return strconv.FormatUint(uint64(n), 10) }

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func ring(t *testing.T, v tv.Vector) trust.KeyRing {
	t.Helper()
	keys := trust.KeyRing{}
	for _, text := range v.All("key") {
		raw, _ := hex.DecodeString(text)
		k, err := trust.ParseCOSEKey(raw)
		if err != nil {
			t.Fatalf("%s: key: %v", v.Name, err)
		}
		keys[k.ID()] = k
	}
	return keys
}

func judgeItem(_ *testing.T, v tv.Vector) (map[string]string, error) {
	return nil, dcbor.Check(v.Bytes("item"))
}

func judgeCOSEKey(t *testing.T, v tv.Vector) (map[string]string, error) {
	k, err := trust.ParseCOSEKey(v.Bytes("object"))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.COSEKey(), v.Bytes("object")) {
		t.Errorf("%s: does not encode to the same bytes", v.Name)
	}
	return map[string]string{"id": k.ID().String(), "algorithm": strconv.FormatInt(int64(k.Algorithm()), 10)}, nil
}

func judgeKeyset(t *testing.T, v tv.Vector) (map[string]string, error) {
	keys := ring(t, v)
	var ks trust.VerifiedKeyset
	var err error
	if held := v.Bytes("held"); len(held) > 0 {
		ks, err = openHeld(t, v, held).Accept(v.Bytes("object"), keys)
	} else {
		ks, err = anchor(t, v).Open(v.Bytes("object"), keys)
	}
	if err != nil {
		return nil, err
	}
	k := ks.Keyset()
	return map[string]string{
		"keyset-version": num(k.Version), "root-threshold": num(k.RootThreshold), "release-threshold": num(k.ReleaseThreshold),
		"security-floor": num(k.SecurityFloor), "service-skips-freshness": flag(k.ServiceSkipsFreshness),
	}, nil
}

// openHeld opens what the device holds, with the keys it once had.
func openHeld(t *testing.T, v tv.Vector, held []byte) trust.VerifiedKeyset {
	t.Helper()
	ks, err := trust.OpenHeld(held, tv.Ring(tv.NewKey("root a"), tv.NewKey("root b")))
	if err != nil {
		t.Fatalf("%s: held keyset: %v", v.Name, err)
	}
	return ks
}

func anchor(t *testing.T, v tv.Vector) trust.Anchor {
	a := trust.Anchor{Vendor: v.Text("anchor-vendor"), DeviceType: v.Text("anchor-type"), RootThreshold: int(v.Uint("anchor-threshold"))}
	for _, text := range v.All("anchor-root") {
		id, alg, _ := strings.Cut(text, " ")
		keyID, err := trust.ParseKeyID(id)
		n, errN := strconv.ParseInt(alg, 10, 64)
		if err != nil || errN != nil {
			t.Fatalf("%s: anchor root %q", v.Name, text)
		}
		a.Roots = append(a.Roots, trust.SignerKey{ID: keyID, Algorithm: trust.Algorithm(n)})
	}
	return a
}

func digestOf(raw []byte) (d manifest.Digest) {
	copy(d[:], raw)
	return d
}

func optionalVersion(t *testing.T, text string) (v version.Version) {
	if text == "" {
		return v
	}
	v, err := version.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func judgeManifest(t *testing.T, v tv.Vector) (map[string]string, error) {
	held := openHeld(t, v, v.Bytes("held"))
	verified, err := held.VerifyManifest(v.Bytes("object"), ring(t, v))
	if err != nil {
		return nil, err
	}
	state := rollback.State{
		Installed: rollback.Entry{
			Sequence: manifest.Sequence(v.Uint("installed-sequence")), Version: optionalVersion(t, v.Text("installed-version")),
			ImageDigest: digestOf(v.Bytes("installed-digest")),
		},
		Floor:    rollback.Floor{Epoch: uint32(v.Uint("floor-epoch")), Counter: uint32(v.Uint("floor-counter"))},
		Rejected: []manifest.Digest{digestOf(v.Bytes("rejected"))},
	}
	device := rollback.Device{
		HardwareRevision: v.Text("hardware"), Component: v.Text("component"), SlotSize: int64(v.Uint("slot-size")),
		KeysetFloor: held.Keyset().SecurityFloor, RetryRejected: v.Uint("retry-rejected") == 1,
	}
	if now := v.Uint("now"); now != 0 {
		device.Now = time.Unix(int64(now), 0)
	}
	m := verified.Manifest()
	if err := state.Check(m, device); err != nil {
		return nil, err
	}
	says := map[string]string{
		"sequence": num(m.Sequence), "version": m.Version.String(), "security-counter": num(m.SecurityCounter),
		"image-size": num(m.ImageSize), "image-digest": m.ImageDigest.String(), "keyset-version": num(m.KeysetVersion),
		"flags": num(m.Flags), "oldest-return": num(m.OldestReturn), "release-digest": m.ReleaseDigest.String(),
		"identity": verified.Identity().String(), "expires": "0",
	}
	if !m.Expires.IsZero() {
		says["expires"] = num(uint64(m.Expires.Unix()))
	}
	return says, nil
}

func judgeDeviceKey(_ *testing.T, v tv.Vector) (map[string]string, error) {
	keys, err := trust.FleetMaster(v.Bytes("master")).DeviceKeys(
		trust.DeviceID{Vendor: v.Text("vendor"), DeviceType: v.Text("device-type"), ID: v.Text("device")}, uint32(v.Uint("generation")))
	if err != nil {
		return nil, err
	}
	up, down := keys.Up.KID(), keys.Down.KID()
	return map[string]string{
		"up-key": keys.Up.Hex(), "down-key": keys.Down.Hex(),
		"up-kid": hex.EncodeToString(up[:]), "down-kid": hex.EncodeToString(down[:]),
	}, nil
}

// keyOf knows one device.
func keyOf(v tv.Vector) trust.KeyOf {
	return func(deviceType, device string) (trust.DeviceKey, error) {
		if deviceType != v.Text("device-type") || device != v.Text("device") {
			return trust.DeviceKey{}, trust.ErrBadMAC
		}
		return trust.DeviceKey(v.Bytes("up-key")), nil
	}
}

func judgeRequest(_ *testing.T, v tv.Vector) (map[string]string, error) {
	r, err := trust.OpenCheckRequest(v.Bytes("object"), keyOf(v))
	return map[string]string{
		"nonce": num(r.Nonce), "sequence": num(r.Sequence), "image-digest": r.ImageDigest.String(), "keyset-version": num(r.KeysetVersion),
		"boot": num(r.Boot), "last-error": num(r.LastError), "hardware": r.HardwareRevision, "capabilities": num(r.Capabilities),
	}, err
}

func judgeResponse(_ *testing.T, v tv.Vector) (map[string]string, error) {
	r, err := trust.OpenCheckResponse(v.Bytes("object"), trust.DeviceKey(v.Bytes("down-key")), v.Text("device"), v.Uint("nonce"))
	says := map[string]string{
		"server-time": num(r.ServerTime), "keyset-version": num(r.KeysetVersion), "retry-seconds": num(r.RetrySeconds),
		"manifest-hash": r.ManifestHash.String(), "manifest-size": num(r.ManifestSize), "retry-rejected": flag(r.RetryRejected), "patch-size": "0",
	}
	if r.Patch != nil {
		says["patch-format"], says["patch-size"], says["patch-digest"] = num(r.Patch.Format), num(r.Patch.Size), r.Patch.Digest.String()
	}
	return says, err
}

func judgeReport(_ *testing.T, v tv.Vector) (map[string]string, error) {
	r, err := trust.OpenReport(v.Bytes("object"), keyOf(v))
	return map[string]string{
		"nonce": num(r.Nonce), "event": num(r.Event), "sequence": num(r.Sequence), "image-digest": r.ImageDigest.String(),
		"target": r.Target.String(), "reason": num(r.Reason), "detail": r.Detail,
	}, err
}

func judgeBare(t *testing.T, v tv.Vector) (map[string]string, error) {
	key, err := trust.ParseCOSEKey(v.Bytes("key"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = trust.Verifier{Key: key}.VerifyFirmware(bytes.NewReader(v.Bytes("message")), v.Bytes("signature"))
	return nil, err
}

func judgeBundle(t *testing.T, v tv.Vector) (map[string]string, error) {
	b, err := trust.DecodeBundle(v.Bytes("object"))
	if err != nil {
		return nil, err
	}
	return map[string]string{"keysets": num(len(b.Keysets)), "keys": num(len(b.Keys))}, nil
}

func judgeReturn(_ *testing.T, v tv.Vector) (map[string]string, error) {
	state := rollback.State{
		Installed: rollback.Entry{Sequence: manifest.Sequence(v.Uint("installed-sequence")), OldestReturn: manifest.Sequence(v.Uint("oldest-return"))},
		Floor:     rollback.Floor{Epoch: uint32(v.Uint("floor-epoch")), Counter: uint32(v.Uint("floor-counter"))},
	}
	retained := rollback.Entry{Sequence: manifest.Sequence(v.Uint("retained-sequence")), SecurityCounter: uint32(v.Uint("retained-counter"))}
	if retained.Sequence != 0 {
		retained.ImageDigest = manifest.Digest{1}
	}
	if v.Uint("retained-confirmed") == 1 {
		retained.ConfirmedAt = time.Unix(1, 0)
	}
	return nil, state.CheckReturn(retained, uint32(v.Uint("keyset-floor")))
}

func judgeDocument(t *testing.T, v tv.Vector) (map[string]string, error) {
	d, err := manifest.DecodeDocument(v.Bytes("document"))
	if err != nil {
		return nil, err
	}
	again, _, err := d.Encode()
	if err != nil || !bytes.Equal(again, v.Bytes("document")) {
		t.Errorf("%s: does not encode to the same bytes (%v)", v.Name, err)
	}
	return nil, nil
}
