package console_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/inventory"
	"github.com/secure-ota/secure-ota/otatest"
)

const deviceList = "device_type,device,labels,note\nsensor_v1,dev-0001,site=Bonn,moved\nsensor_v1,dev-0100,site=Berlin,\n"

func TestAListOfDevicesIsShownBeforeItIsImported(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	s.Device("dev-0001")
	b := loggedIn(t, s, auth.Administrator)
	mustShow(t, b.page("/devices"), `href="/devices/import"`)
	b.page("/devices/import")

	asked := b.postFiles("/devices/import?update=1", file{"devices", []byte(deviceList)})
	checkHTML(t, "/devices/import", asked.text)
	mustShow(t, asked.text, "line 2", "dev-0001", "updated", "site=Bonn", "dev-0100", "added", "Import 2 devices")
	count := func() int {
		page := b.get("/devices/export?format=json&filter=")
		n := 0
		for _, err := range inventory.Read(strings.NewReader(page.text)) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if n := count(); n != 1 {
		t.Fatalf("the question made devices: %d", n)
	}
	// Without update, what exists is let be, and is said to exist.
	mustShow(t, b.postFiles("/devices/import", file{"devices", []byte(deviceList)}).text, "exists", "Import 1 device")

	for name, list := range map[string]string{
		"a wrong type": "device_type,device\nno_such,dev-0001\n", "no list": "\x00firmware", "no column for the type": "device\nx\n", "nothing": "",
	} {
		resp := b.postFiles("/devices/import", file{"devices", []byte(list)})
		checkHTML(t, name, resp.text)
		if strings.Contains(resp.text, "/devices/import/yes") || !strings.Contains(resp.text, "refused") && resp.StatusCode < 400 {
			t.Errorf("%s: status %d: %s", name, resp.StatusCode, resp.text)
		}
	}
	for _, role := range []auth.Role{auth.Viewer, auth.Approver} {
		if resp := loggedIn(t, s, role).postFiles("/devices/import", file{"devices", []byte(deviceList)}); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d", role, resp.StatusCode)
		}
	}

	done := b.post("/devices/import/yes", url.Values{"file": {sentBack(t, asked.text)}, "update": {"1"}})
	checkHTML(t, "/devices/import/yes", done.text)
	mustShow(t, done.text, "What was done", "Save them as a file")
	if n := count(); n != 2 {
		t.Errorf("%d devices", n)
	}
	secrets := b.post("/devices/import/secrets", url.Values{"file": {sentBack(t, done.text)}})
	if secrets.StatusCode != http.StatusOK || !strings.Contains(secrets.Header.Get("Content-Disposition"), "secrets.jsonl") ||
		strings.Count(secrets.text, "\n") != 1 || !strings.Contains(secrets.text, "dev-0100") {
		t.Errorf("status %d, %d bytes", secrets.StatusCode, len(secrets.text))
	}
	// What is gone by now cannot be done again.
	again := b.post("/devices/import/yes", url.Values{"file": {sentBack(t, asked.text)}})
	if strings.Contains(again.text, "Save them as a file") {
		t.Error("secrets were made again")
	}
}

func TestWhatIsExportedIsWhatIsShown(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	s.Device("dev-0001")
	s.Device("dev-0002")
	b := loggedIn(t, s, auth.Viewer)
	mustShow(t, b.page("/devices?filter=id%3Ddev-0001"), "format=csv", "filter=id%3Ddev-0001")
	csv := b.get("/devices/export?format=csv&filter=" + url.QueryEscape("id=dev-0001"))
	if got := csv.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/csv") {
		t.Errorf("Content-Type %q", got)
	}
	if !strings.Contains(csv.text, "dev-0001") || strings.Contains(csv.text, "dev-0002") {
		t.Errorf("%s", csv.text)
	}
	for _, bad := range []string{"format=xml", "format=csv&filter=" + url.QueryEscape("id="), "filter="} {
		resp := b.get("/devices/export?" + bad)
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Disposition") != "" {
			t.Errorf("%s: status %d, %v", bad, resp.StatusCode, resp.Header)
		}
	}
}

func TestDevicesAreImportedInABrowser(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.populate(10)
	name := filepath.Join(t.TempDir(), "devices.csv")
	list := bytes.ReplaceAll([]byte(deviceList), []byte("dev-0001"), []byte("dev-0200"))
	if err := os.WriteFile(name, list, 0o600); err != nil {
		t.Fatal(err)
	}
	w := openWindow(t, s.URL, 1200, 900)
	w.login(s.Token)
	w.open("/devices")
	w.click(`a[href="/devices/import"]`)
	w.see("Nothing is changed yet")
	w.do(chromedp.SetUploadFiles("input[name=devices]", []string{name}))
	w.click("form.stack button.main")
	w.see("What it would change", "added")
	w.click(`form[action="/devices/import/yes"] button`)
	w.see("What was done", "Save them as a file")
	w.isCalm()
}
