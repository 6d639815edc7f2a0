package otatest_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

func TestAnUpdateGoesAllTheWay(t *testing.T) {
	system := otatest.New(t)
	system.Publish("1.0.0", []byte("old firmware"))
	image := bytes.Repeat([]byte("new firmware "), 1000)
	release := system.Publish("1.1.0", image)
	keys := system.DeviceKeys(system.Device("dev-0001"))

	request := trust.CheckRequest{
		Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 1, Sequence: manifest.NewSequence(1, 1),
		ImageDigest: sha256.Sum256([]byte("old firmware")), KeysetVersion: 1,
	}
	sealed, err := request.Seal(keys.Up)
	if err != nil {
		t.Fatal(err)
	}
	answer := post(t, system.PlainURL+"/v1/check", sealed, http.StatusOK)
	response, err := trust.OpenCheckResponse(answer, keys.Down, "dev-0001", 1)
	if err != nil {
		t.Fatal(err)
	}
	if response.ManifestHash != release.ManifestHash {
		t.Fatalf("offered manifest %s, want %s", response.ManifestHash, release.ManifestHash)
	}
	signed := get(t, system.PlainURL+"/v1/manifest/"+response.ManifestHash.String())
	keyset, err := trust.OpenHeld(system.Keyset, system.Keys)
	if err != nil {
		t.Fatal(err)
	}
	m, err := keyset.VerifyManifest(signed, system.Keys)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, system.PlainURL+"/v1/firmware/"+m.Manifest().ImageDigest.String()+"?device=dev-0001"); !bytes.Equal(got, image) {
		t.Fatal("another image was served")
	}
	report := trust.Report{
		Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 2, Event: trust.EventConfirmed,
		Sequence: release.Sequence, ImageDigest: release.ImageDigest, Target: release.ManifestHash,
	}
	if sealed, err = report.Seal(keys.Up); err != nil {
		t.Fatal(err)
	}
	post(t, system.PlainURL+"/v1/report", sealed, http.StatusNoContent)

	devices, err := system.Remote().Devices(t.Context(), api.DeviceQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if len(devices) != 1 || devices[0].Version != "1.1.0" || devices[0].Confirmed.Sequence != release.Sequence || devices[0].Offer != nil {
		t.Errorf("the server sees %+v", devices)
	}
	state, err := system.Remote().VerifyAudit(t.Context(), nil)
	if err != nil || state.Records < 8 {
		t.Errorf("audit log: %+v, %v", state, err)
	}
}

func post(t *testing.T, url string, body []byte, want int) []byte {
	t.Helper()
	resp, err := http.Post(url, "application/cose", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp, want)
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp, http.StatusOK)
}

func read(t *testing.T, resp *http.Response, want int) []byte {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Fatalf("%s: status %d, want %d: %s", resp.Request.URL, resp.StatusCode, want, body)
	}
	return body
}
