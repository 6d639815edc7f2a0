package console_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	reports "github.com/secure-ota/secure-ota/internal/report"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

// What an auditor asks for: who lacks a fix, what is in a release, and what ran
// where.
func TestExposureAndBillOfMaterials(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	bom := []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"zlib","version":"1.3"}]}`)
	if _, err := s.Management().AddSBOM(t.Context(), bom); err != nil {
		t.Fatal(err)
	}
	old := s.Publish("1.0.0", []byte("one"))
	document, digest, err := manifest.Document{
		Notes: "Fixes a hole", CVEs: []string{"CVE-2026-0001"}, SBOMs: []manifest.SBOM{{Name: "sbom.cdx.json", SHA256: sha256.Sum256(bom)}},
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m := s.Manifest("1.1.0", []byte("two"))
	m.ReleaseDigest = digest
	signed, err := trust.UnsignedManifest(m)
	if err == nil {
		signed, err = trust.SignManifest(signed, s.Release)
	}
	if err == nil {
		err = s.Management().Upload(t.Context(), m.ImageDigest, 3, strings.NewReader("two"), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := s.Management().AddRelease(t.Context(), trust.Bundle{Manifest: signed, ReleaseDocument: document})
	if err != nil {
		t.Fatal(err)
	}
	s.Device("dev-0001")
	s.Device("dev-0002")
	check(t, s, "dev-0001", 1, old)
	check(t, s, "dev-0002", 1, fixed)
	b := loggedIn(t, s, auth.Viewer)
	b.page("/exposure")
	mustShow(t, b.page("/exposure?cve=CVE-2026-0001"), "<b>1 device</b></a> runs what lacks the fix", "1.1.0", "exposed", "fixed", "dev-0001")
	mustShow(t, b.page("/exposure?cve=CVE-2026-0002"), "No release says that it fixes CVE-2026-0002", "No release of")
	wrong := b.get("/exposure?cve=" + url.QueryEscape("<script>"))
	checkHTML(t, "a wrong name", wrong.text)
	if wrong.StatusCode != http.StatusBadRequest || strings.Contains(wrong.text, "<script>") {
		t.Errorf("status %d: %s", wrong.StatusCode, wrong.text)
	}

	page := "/releases/" + fixed.Identity.String()
	mustShow(t, b.page(page), `href="/exposure?cve=CVE-2026-0001"`, page+"/sbom/sbom.cdx.json")
	got := b.get(page + "/sbom/sbom.cdx.json")
	if got.text != string(bom) || !strings.HasPrefix(got.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%v: %q", got.Header, got.text)
	}
	if none := b.get(page + "/sbom/other"); none.StatusCode != http.StatusNotFound {
		t.Errorf("another name: status %d", none.StatusCode)
	}
}

func TestAReportIsSaved(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("one"))
	s.Device("dev-0001")
	check(t, s, "dev-0001", 1, release)
	b := loggedIn(t, s, auth.Viewer)
	mustShow(t, b.page("/audit"), `action="/audit/report"`)
	today := time.Now().UTC().Format(time.DateOnly)
	form := url.Values{"from": {today}, "to": {today}, "format": {"json"}, "filter": {""}}
	saved := b.post("/audit/report", form)
	if saved.StatusCode != http.StatusOK || !strings.Contains(saved.Header.Get("Content-Disposition"), "report-"+today+"-"+today+".json") {
		t.Fatalf("status %d, %v: %s", saved.StatusCode, saved.Header, saved.text)
	}
	info, err := s.Management().Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ParseCOSEKey(info.AuditKey)
	if err != nil {
		t.Fatal(err)
	}
	r, log, err := reports.Read(strings.NewReader(saved.text))
	if err != nil {
		t.Fatal(err)
	}
	if err := reports.Verify(r, log, key); err != nil || len(r.Devices) != 1 {
		t.Errorf("%v, %+v", err, r)
	}
	form.Set("format", "html")
	mustShow(t, b.post("/audit/report", form).text, "dev-0001", "1.0.0")
	for name, change := range map[string]url.Values{
		"a wrong format": {"format": {"pdf"}}, "no date": {"from": {"yesterday"}}, "the wrong way round": {"from": {"2099-01-01"}}, "a wrong filter": {"filter": {"id="}},
	} {
		wrong := url.Values{"from": {today}, "to": {today}, "format": {"json"}}
		for k, v := range change {
			wrong[k] = v
		}
		resp := b.post("/audit/report", wrong)
		checkHTML(t, name, resp.text)
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Disposition") != "" {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
}
