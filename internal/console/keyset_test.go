package console_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// nextKeyset returns a bundle with the next keyset of the type, in which a new
// release key takes the place of the old one.
func nextKeyset(t *testing.T, s *otatest.System, version uint32, by ...*signing.Key) []byte {
	t.Helper()
	key, err := signing.Generate(trust.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	s.Keys[key.Public().ID()] = key.Public()
	ks := &trust.Keyset{
		Vendor: otatest.Vendor, DeviceType: otatest.DeviceType, Version: version, RootThreshold: 2, ReleaseThreshold: 1, SecurityFloor: 3,
		Releases: []trust.SignerKey{{ID: key.Public().ID(), Algorithm: trust.Ed25519, Epoch: 2}},
	}
	for _, root := range s.Roots {
		ks.Roots = append(ks.Roots, trust.SignerKey{ID: root.Public().ID(), Algorithm: trust.Ed25519})
	}
	raw, err := trust.Bundle{Keysets: [][]byte{s.SignKeyset(ks, by...)}, Keys: s.Keys}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var hiddenFile = regexp.MustCompile(`name="file" value="([^"]*)"`)

// sentBack returns the file that a page would send again.
func sentBack(t *testing.T, page string) string {
	t.Helper()
	match := hiddenFile.FindStringSubmatch(page)
	if match == nil {
		t.Fatalf("no file to send again in %s", page)
	}
	return strings.ReplaceAll(match[1], "&#43;", "+")
}

func TestAKeysetIsShownBeforeItIsPublished(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("one"))
	s.Device("dev-0001")
	s.Device("dev-0002")
	check(t, s, "dev-0001", 1, release)
	b := loggedIn(t, s, auth.Publisher)
	mustShow(t, b.page("/keys"), `href="/keys/new"`)
	b.page("/keys/new")

	asked := b.postFiles("/keys/new", file{"keyset", nextKeyset(t, s, 2, s.Roots[:2]...)})
	checkHTML(t, "/keys/new", asked.text)
	mustShow(t, asked.text, "1 → <b>2</b>", "new release key", "dropped key", "0 → 3", "expires", "follows", "not known",
		"Releases that it ends", `/releases/`+release.Identity.String(), "Publish keyset 2 of sensor_v1")
	versions := func() (list []uint32) {
		keysets, err := s.Management().Keysets(t.Context(), otatest.DeviceType)
		if err != nil {
			t.Fatal(err)
		}
		for _, ks := range keysets {
			list = append(list, ks.Version)
		}
		return list
	}
	if got := versions(); len(got) != 1 {
		t.Fatalf("the question published keysets %v", got)
	}
	for name, raw := range map[string][]byte{
		"one root too few": nextKeyset(t, s, 3, s.Roots[0]), "no keyset": []byte("firmware"), "nothing": nil,
	} {
		resp := b.postFiles("/keys/new", file{"keyset", raw})
		checkHTML(t, name, resp.text)
		if resp.StatusCode < 400 || resp.StatusCode > 499 || !strings.Contains(resp.text, `role="alert"`) || strings.Contains(resp.text, "/keys/new/yes") {
			t.Errorf("%s: status %d: %s", name, resp.StatusCode, resp.text)
		}
	}
	if resp := loggedIn(t, s, auth.Viewer).postFiles("/keys/new", file{"keyset", nextKeyset(t, s, 2, s.Roots[:2]...)}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a viewer: status %d", resp.StatusCode)
	}
	yes := b.post("/keys/new/yes", url.Values{"file": {sentBack(t, asked.text)}})
	if got := versions(); yes.StatusCode != http.StatusSeeOther || len(got) != 2 || got[0] != 2 {
		t.Errorf("status %d, keysets %v: %s", yes.StatusCode, got, yes.text)
	}
}

// Devices that could not follow are left behind only by who says so.
func TestAKeysetStrandsNobodyUnasked(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("one"))
	s.Device("dev-0001")
	_, err := s.Server.CheckForUpdates(t.Context(), trust.CheckRequest{
		Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 1, Sequence: release.Sequence, ImageDigest: release.ImageDigest, KeysetVersion: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := loggedIn(t, s, auth.Publisher)
	asked := b.postFiles("/keys/new", file{"keyset", nextKeyset(t, s, 3, s.Roots[:2]...)})
	mustShow(t, asked.text, "1 device could not follow to keyset 3", "keyset 2 is not on this server", `name="stranded" value="1"`)
	form := url.Values{"file": {sentBack(t, asked.text)}}
	refused := b.post("/keys/new/yes", form)
	checkHTML(t, "/keys/new/yes", refused.text)
	if refused.StatusCode != http.StatusBadRequest || !strings.Contains(refused.text, "could not follow") {
		t.Errorf("status %d: %s", refused.StatusCode, refused.text)
	}
	form.Set("stranded", "1")
	if yes := b.post("/keys/new/yes", form); yes.StatusCode != http.StatusSeeOther {
		t.Errorf("status %d: %s", yes.StatusCode, yes.text)
	}
}

func TestAKeysetIsPublishedInABrowser(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.populate(10)
	name := filepath.Join(t.TempDir(), "sensor_v1.bundle")
	if err := os.WriteFile(name, nextKeyset(t, s.System, 2, s.Roots[:2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	w := openWindow(t, s.URL, 1200, 900)
	w.login(s.Token)
	w.open("/keys")
	w.click(`a[href="/keys/new"]`)
	w.see("nothing is changed yet")
	w.do(chromedp.SetUploadFiles("input[name=keyset]", []string{name}))
	w.click("form.stack button")
	w.see("Who can take it", "follows")
	w.click("button.main")
	w.see("The keyset is published.", "keyset 2")
	w.isCalm()
}
