package trust_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func request(nonce uint64) trust.CheckRequest {
	return trust.CheckRequest{
		Device: device.ID, DeviceType: device.DeviceType, Nonce: nonce, Sequence: manifest.NewSequence(1, 4),
		ImageDigest: manifest.Digest{7}, KeysetVersion: 3, Boot: trust.BootTrial, LastError: trust.ErrImageDigest,
		HardwareRevision: "B", Capabilities: trust.CapNoRevert,
	}
}

func response(nonce uint64) trust.CheckResponse {
	return trust.CheckResponse{
		Device: device.ID, Nonce: nonce, ServerTime: 1_790_000_000, KeysetVersion: 3, RetrySeconds: 3600,
		ManifestHash: manifest.Digest{9}, ManifestSize: 612, Patch: &trust.Patch{Format: 1, Size: 99, Digest: manifest.Digest{8}}, RetryRejected: true,
	}
}

func report(nonce uint64) trust.Report {
	return trust.Report{
		Device: device.ID, DeviceType: device.DeviceType, Nonce: nonce, Event: trust.EventRefused, Sequence: manifest.NewSequence(1, 4),
		ImageDigest: manifest.Digest{7}, Target: manifest.Digest{9}, Reason: trust.ErrOldSequence, Detail: "sequence 1.3, installed 1.4",
	}
}

func TestReplayedResponseIsRefused(t *testing.T) {
	keys := deviceKeys(t, device.ID, 1)
	raw := must(response(17).Seal(keys.Down))(t)
	must(trust.OpenCheckResponse(raw, keys.Down, device.ID, 17))(t)
	for _, nonce := range []uint64{0, 16, 18, 17 << 32} {
		_, err := trust.OpenCheckResponse(raw, keys.Down, device.ID, nonce)
		wantReason(t, err, trust.ErrWrongNonce)
	}
}

// The device's own message must not come back to it as an answer: another kind,
// and another key in each direction.
func TestReflectedMessageIsRefused(t *testing.T) {
	keys := deviceKeys(t, device.ID, 1)
	_, err := trust.OpenCheckResponse(must(request(17).Seal(keys.Up))(t), keys.Down, device.ID, 17)
	wantReason(t, err, trust.ErrWrongKind)
	_, err = trust.OpenCheckResponse(must(response(17).Seal(keys.Up))(t), keys.Down, device.ID, 17)
	wantReason(t, err, trust.ErrBadMAC)
	_, err = trust.OpenCheckRequest(must(request(17).Seal(keys.Down))(t), keyOf(t))
	wantReason(t, err, trust.ErrBadMAC)
	_, err = trust.OpenReport(must(request(17).Seal(keys.Up))(t), keyOf(t))
	wantReason(t, err, trust.ErrWrongKind)
	if keys.Up == keys.Down || keys.Up.KID() == keys.Down.KID() {
		t.Error("one key in both directions")
	}
}

func TestResponseOfAnotherDeviceIsRefused(t *testing.T) {
	keys, others := deviceKeys(t, device.ID, 1), deviceKeys(t, "dev-0002", 1)
	other := response(17)
	other.Device = "dev-0002"
	_, err := trust.OpenCheckResponse(must(other.Seal(others.Down))(t), keys.Down, device.ID, 17)
	wantReason(t, err, trust.ErrBadMAC)
	_, err = trust.OpenCheckResponse(must(other.Seal(keys.Down))(t), keys.Down, device.ID, 17)
	wantReason(t, err, trust.ErrWrongDevice)
}

func TestKeyedDeviceRefusesAnUnauthenticatedAnswer(t *testing.T) {
	keys := deviceKeys(t, device.ID, 1)
	for _, raw := range []string{
		"", `{"device":"dev-0001","nonce":17,"update":null}`, "<html>", strings.Repeat("x", 5000),
		string(signManifest(t, release(1, 5, "2.1.0"), release1)),
	} {
		_, err := trust.OpenCheckResponse([]byte(raw), keys.Down, device.ID, 17)
		wantReason(t, err, trust.ErrUnauthenticated)
	}
}

func TestOtherKeyGenerationOrDeviceIsRefused(t *testing.T) {
	second := deviceKeys(t, device.ID, 2)
	_, err := trust.OpenCheckRequest(must(request(17).Seal(second.Up))(t), keyOf(t))
	wantReason(t, err, trust.ErrBadMAC)
	stolen := deviceKeys(t, "dev-0002", 1)
	_, err = trust.OpenReport(must(report(17).Seal(stolen.Up))(t), keyOf(t))
	wantReason(t, err, trust.ErrBadMAC)
}

func TestDeviceWithoutAKeyOpensNothing(t *testing.T) {
	var none trust.DeviceKey
	raw := must(response(17).Seal(none))(t)
	_, err := trust.OpenCheckResponse(raw, none, device.ID, 17)
	wantReason(t, err, trust.ErrNoDeviceKey)
	_, err = trust.OpenCheckRequest(must(request(17).Seal(none))(t), func(string, string) (trust.DeviceKey, error) { return none, nil })
	wantReason(t, err, trust.ErrNoDeviceKey)
}

// The lookup of a device's key may fail for reasons of its own; they come out
// as they went in, and no message is opened.
func TestFailingKeyLookupIsPassedOn(t *testing.T) {
	down := errors.New("the store is down")
	_, err := trust.OpenCheckRequest(must(request(17).Seal(deviceKeys(t, device.ID, 1).Up))(t),
		func(string, string) (trust.DeviceKey, error) { return trust.DeviceKey{}, down })
	if !errors.Is(err, down) {
		t.Fatalf("got %v", err)
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	keys := deviceKeys(t, device.ID, 1)
	if got := must(trust.OpenCheckRequest(must(request(17).Seal(keys.Up))(t), keyOf(t)))(t); got != request(17) {
		t.Errorf("request: got %+v", got)
	}
	got := must(trust.OpenCheckResponse(must(response(17).Seal(keys.Down))(t), keys.Down, device.ID, 17))(t)
	if want := response(17); *got.Patch != *want.Patch {
		t.Errorf("patch: got %+v", got.Patch)
	} else if got.Patch = want.Patch; got != want {
		t.Errorf("response: got %+v", got)
	}
	if got := must(trust.OpenReport(must(report(18).Seal(keys.Up))(t), keyOf(t)))(t); got != report(18) {
		t.Errorf("report: got %+v", got)
	}
}

func TestDetailOfAReportIsPrintable(t *testing.T) {
	r := report(1)
	r.Detail = "\x1b[2J\n" + strings.Repeat("é", 300)
	keys := deviceKeys(t, device.ID, 1)
	got := must(trust.OpenReport(must(r.Seal(keys.Up))(t), keyOf(t)))(t)
	if len(got.Detail) != trust.MaxDetail || strings.Trim(got.Detail[5:], "?") != "" || got.Detail[:5] != "?[2J?" {
		t.Errorf("detail %q", got.Detail)
	}
}

func TestTooLongMessageIsNotSealed(t *testing.T) {
	r := report(1)
	r.Device = strings.Repeat("d", 2000)
	_, err := r.Seal(deviceKeys(t, device.ID, 1).Up)
	wantReason(t, err, trust.ErrTooLarge)
}

// Logs and error texts show no secret.
func TestSecretsDoNotPrint(t *testing.T) {
	keys := deviceKeys(t, device.ID, 1)
	master := trust.FleetMaster{42}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		text := fmt.Sprintf(format, keys.Up) + fmt.Sprintf(format, keys) + fmt.Sprintf(format, master)
		if strings.Contains(text, keys.Up.Hex()[:16]) || strings.Contains(text, "42, 0") || strings.Contains(text, "2a00") {
			t.Errorf("%s prints a secret: %s", format, text)
		}
	}
	if keys.Up.LogValue().String() != "[device key]" || master.LogValue().String() != "[fleet master]" {
		t.Error("a secret can be logged")
	}
	parsed := must(trust.ParseDeviceKey(keys.Up.Hex() + "\n"))(t)
	if parsed != keys.Up {
		t.Error("a device key does not read back")
	}
	if _, err := trust.ParseDeviceKey("secret-secret"); err == nil || strings.Contains(err.Error(), "secret-s") {
		t.Errorf("the error repeats the text: %v", err)
	}
}

func TestNewFleetMastersDiffer(t *testing.T) {
	if a, b := trust.NewFleetMaster(), trust.NewFleetMaster(); a == b || a == (trust.FleetMaster{}) {
		t.Error("fleet masters are not random")
	}
}

func TestMacOfAnotherKindOfObjectIsRefused(t *testing.T) {
	keys := deviceKeys(t, device.ID, 1)
	sealed := must(request(17).Seal(keys.Up))(t)
	obj := must(cose.ParseMac0(sealed, cose.TypCheckRequest, trust.MaxMessage))(t)
	forged := cose.Seal(cose.TypReport, keys.Up.KID(), keys.Down[:], obj.Payload)
	_, err := trust.OpenReport(forged, keyOf(t))
	wantReason(t, err, trust.ErrBadMAC)
}
