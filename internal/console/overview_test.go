package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

// overview returns the page as an administrator sees it.
func overview(t *testing.T, s *otatest.System) string {
	t.Helper()
	page, resp := get(t, s.HTTPClient(), s.URL+"/", &http.Cookie{Name: "__Host-ota", Value: s.Token})
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", resp.StatusCode, page)
	}
	return page
}

func TestAnOperatorSeesFirstWhichDevicesNeedHim(t *testing.T) {
	s := otatest.New(t)
	old := s.Publish("1.0.0", []byte("one"))
	for i := range 40 {
		s.Device(fmt.Sprintf("dev-%04d", i))
	}
	newest := s.Publish("2.0.0", []byte("two"))
	for id, release := range map[string]api.Release{"dev-0000": newest, "dev-0039": old} {
		request := trust.CheckRequest{
			Device: id, DeviceType: otatest.DeviceType, Nonce: 1, Sequence: release.Sequence, ImageDigest: release.ImageDigest, KeysetVersion: 1,
		}
		if _, err := s.Server.CheckForUpdates(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Server.RecordUpdate(t.Context(), trust.Report{
		Device: "dev-0039", DeviceType: otatest.DeviceType, Nonce: 2, Event: trust.EventReverted, Sequence: old.Sequence, ImageDigest: old.ImageDigest,
		Reason: 33, Detail: `exit 1 <script>alert(1)</script>`,
	})
	if err != nil {
		t.Fatal(err)
	}
	page := overview(t, s)
	for _, want := range []string{
		`<dt>run the newest release</dt><dd>1</dd>`,
		`<div class="alarm"><dt>need attention</dt><dd>1</dd>`,
		`aria-label="1 device 2.0.0, 1 device 1.0.0, 38 devices unknown"`,
		`aria-label="1 device reverted, 1 device idle, 38 devices never seen"`,
		`<rect class="version0" x="0.00" width="25.00"`,
		`<rect class="none" x="50.00" width="950.00"`,
		`health check failed`,
		`went back to its previous image: sequence 1.1, health check failed, exit 1 &lt;script&gt;`,
		`and 10 more: <code>ota device list</code>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if first := strings.Index(page, "<td>dev-0039</td>"); first < 0 || first > strings.Index(page, "<td>dev-0000</td>") {
		t.Error("the device that reverted is not the first in the list")
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "style=") {
		t.Error("the page needs what its own policy forbids")
	}
}

func TestAnEmptyServerSaysWhatToDo(t *testing.T) {
	page := overview(t, otatest.New(t))
	for _, want := range []string{"ota device add", "ota publish", "published a keyset: 1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}
