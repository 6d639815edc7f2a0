package console_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// check lets a device say what it runs.
func check(t *testing.T, s *otatest.System, id string, nonce uint64, running api.Release) {
	t.Helper()
	_, err := s.Server.CheckForUpdates(t.Context(), trust.CheckRequest{
		Device: id, DeviceType: otatest.DeviceType, Nonce: nonce, Sequence: running.Sequence, ImageDigest: running.ImageDigest, KeysetVersion: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func auditOf(action string) audit.Filter { return audit.Filter{Action: action} }

// report lets a device report an event.
func report(t *testing.T, s *otatest.System, r trust.Report) {
	t.Helper()
	r.DeviceType = otatest.DeviceType
	if err := s.Server.RecordUpdate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestAnEmptyServerSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := loggedIn(t, s, auth.Administrator)
	for path, want := range map[string][]string{
		"/":         {"ota device add", "published a keyset: 1"},
		"/devices":  {"ota device add", "/settings#codes"},
		"/releases": {"ota publish", "/releases/new"},
		"/keys":     {"2 of 3 must sign a new keyset", "ota key rotate"},
		"/settings": {s.Fingerprint, "Operators"},
	} {
		mustShow(t, b.page(path), want...)
	}
}

func TestTheOverviewShowsWhichDevicesNeedSomebody(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	old := s.Publish("1.0.0", []byte("one"))
	for i := range 40 {
		s.Device(fmt.Sprintf("dev-%04d", i))
	}
	newest := s.Publish("2.0.0", []byte("two"))
	check(t, s, "dev-0000", 1, newest)
	check(t, s, "dev-0039", 1, old)
	report(t, s, trust.Report{
		Device: "dev-0039", Nonce: 2, Event: trust.EventReverted, Sequence: old.Sequence, ImageDigest: old.ImageDigest, Reason: 33, Detail: `exit 1`,
	})
	page := loggedIn(t, s, auth.Viewer).page("/")
	mustShow(t, page,
		`<dd><a href="/devices">40</a></dd>`,
		`<dt>run the newest release</dt><dd>1 <small>3 %</small></dd>`,
		`<a class="state bad" href="/devices?filter=state%3Dfailed%20or%20state%3Dreverted%20or%20state%3Drefused">1 device failed, reverted or refused an update</a>`,
		`aria-label="1 device 2.0.0, 1 device 1.0.0, 38 devices unknown"`,
		`aria-label="1 device reverted, 1 device idle, 38 devices never seen"`,
		`<rect class="shade0" x="0.00" width="25.00"`,
		`<rect class="none" x="50.00" width="950.00"`,
		`href="/devices?filter=type%3Dsensor_v1%20and%20version%3D2.0.0"`,
		`in the last 24 hours 0 updates confirmed, 1 reverted`,
		`went back to its previous image: sequence 1.1, health check failed, exit 1`,
	)
}

func TestTheLivePartIsSentWhenItChanged(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	s.Device("dev-0001")
	b := loggedIn(t, s, auth.Viewer)
	liveURL := func(page string) string {
		t.Helper()
		_, after, ok := strings.Cut(page, `hx-get="`)
		link, _, _ := strings.Cut(after, `"`)
		if !ok {
			t.Fatalf("no live part in %s", page)
		}
		return strings.ReplaceAll(link, "&amp;", "&")
	}
	link := liveURL(b.page("/"))
	if resp := b.get(link, "HX-Request", "true"); resp.StatusCode != http.StatusNoContent || resp.text != "" {
		t.Errorf("unchanged: status %d, %d bytes", resp.StatusCode, len(resp.text))
	}
	s.Device("dev-0002")
	resp := b.get(link, "HX-Request", "true")
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.text, `<div id="live"`) || strings.Contains(resp.text, "<html") {
		t.Errorf("changed: status %d, %s", resp.StatusCode, resp.text)
	}
	checkHTML(t, link, resp.text)
	if next := liveURL(resp.text); next == link {
		t.Error("the new part asks as the old one did")
	}
}

func TestADevicesLife(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	old := s.Publish("1.0.0", []byte("one"))
	s.Device("dev-0001")
	newest := s.Publish("2.0.0", []byte("two"))
	check(t, s, "dev-0001", 1, old)
	report(t, s, trust.Report{
		Device: "dev-0001", Nonce: 2, Event: trust.EventReverted, Sequence: old.Sequence, ImageDigest: old.ImageDigest, Target: newest.ManifestHash, Reason: 33,
	})
	path := "/devices/sensor_v1/dev-0001"
	admin := loggedIn(t, s, auth.Administrator)
	mustShow(t, admin.page(path), "dev-0001", "reverted", "health check failed", "offered 2.0.0", "its authenticated report", "Not offered a newer release", "Try again what it rejected", "Revoke …")
	if resp := admin.post(path+"/retry", nil); resp.Header.Get("Location") != path+"?done=retry" {
		t.Errorf("retry: status %d, %s", resp.StatusCode, resp.text)
	}
	mustShow(t, admin.page(path+"?done=retry"), "will be told to try again", "told to try again")
	if resp := admin.post(path+"/revoke", url.Values{"why": {"stolen"}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("revoke: status %d, %s", resp.StatusCode, resp.text)
	}
	mustShow(t, admin.page(path), "revoked", "stolen", "--enrol --again")
	mustNotShow(t, admin.page(path), "Revoke …")
	if resp := admin.get("/devices/sensor_v1/nobody"); resp.StatusCode != http.StatusNotFound || !strings.Contains(resp.text, "no such device") && !strings.Contains(resp.text, "No such device") {
		t.Errorf("status %d: %s", resp.StatusCode, resp.text)
	}
}

// signed returns what ota manifest and ota manifest sign make of an image.
func signed(t *testing.T, s *otatest.System, version string, image []byte, document *manifest.Document) (raw, doc []byte) {
	t.Helper()
	m := s.Manifest(version, image)
	if document != nil {
		var err error
		if doc, m.ReleaseDigest, err = document.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := trust.UnsignedManifest(m)
	if err == nil {
		raw, err = trust.SignManifest(raw, s.Release)
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw, doc
}

func TestUploadOfARelease(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := loggedIn(t, s, auth.Publisher)
	image := []byte(strings.Repeat("firmware ", 100_000))
	raw, doc := signed(t, s, "1.0.0", image, &manifest.Document{Notes: "Fixes the <clock>", CVEs: []string{"CVE-2026-1234"}})

	form := func(files ...file) answer { return b.postFiles("/releases/new", files...) }
	refused := func(name string, resp answer, status int, words string) {
		t.Helper()
		if resp.StatusCode != status || !strings.Contains(resp.text, words) {
			t.Errorf("%s: status %d, want %d and %q: %s", name, resp.StatusCode, status, words, resp.text)
		}
		checkHTML(t, name, resp.text)
	}
	refused("nothing", form(), 409, "without a firmware file")
	refused("no manifest", form(file{"firmware", image}), 422, "choose the signed manifest")
	refused("firmware in the field of the manifest", form(file{"manifest", image}, file{"firmware", image}), 413, "is it the firmware?")
	refused("no document", form(file{"manifest", raw}, file{"firmware", image}), 422, "document")
	refused("other firmware", form(file{"manifest", raw}, file{"document", doc}, file{"firmware", []byte(strings.Repeat("firmwarf ", 100_000))}), 422, "Choose the original file")
	refused("too little of it", form(file{"manifest", raw}, file{"document", doc}, file{"firmware", image[:1000]}), 422, "has only")
	refused("garbage", form(file{"manifest", []byte("garbage")}, file{"firmware", image}), 400, "")
	if list, err := s.Management().Releases(t.Context(), ""); err != nil || len(list) != 0 {
		t.Fatalf("%d releases, %v", len(list), err)
	}

	resp := form(file{"manifest", raw}, file{"document", doc}, file{"firmware", image})
	where := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(where, "/releases/") {
		t.Fatalf("status %d to %q: %s", resp.StatusCode, where, resp.text)
	}
	mustShow(t, b.page(where), "The release is published.", "sensor_v1 1.0.0", "Fixes the &lt;clock&gt;", "CVE-2026-1234", "on offer")
	mustShow(t, b.page("/releases"), "1.0.0", "878.9 KiB")
	older, _ := signed(t, s, "0.9.0", image, nil)
	refused("an older version", form(file{"manifest", older}, file{"firmware", image}), 422, "Versions rise")
}

func TestAnUploadGoesOnWhereItBrokeOff(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := loggedIn(t, s, auth.Publisher)
	image := []byte(strings.Repeat("firmware ", 50_000))
	raw, _ := signed(t, s, "1.0.0", image, nil)
	b.postFiles("/releases/new", file{"manifest", raw}, file{"firmware", image[:200_000]})
	if resp := b.postFiles("/releases/new", file{"manifest", raw}, file{"firmware", image}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("status %d: %s", resp.StatusCode, resp.text)
	}
}

func TestWithdrawal(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	r := s.Publish("1.0.0", []byte("one"))
	path := "/releases/" + r.Identity.String()
	b := loggedIn(t, s, auth.Administrator)
	mustShow(t, b.page(path), "Withdraw …")
	if resp := b.post(path+"/withdraw", url.Values{"why": {"bad battery"}}); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("status %d: %s", resp.StatusCode, resp.text)
	}
	page := b.page(path)
	mustShow(t, page, "withdrawn", "bad battery")
	mustNotShow(t, page, "Withdraw …")
	for _, bad := range []string{"/releases/abc", "/releases/" + strings.Repeat("0", 64)} {
		if resp := b.get(bad); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", bad, resp.StatusCode)
		}
	}
}

func TestTheAuditLogAndItsProof(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("one"))
	for i := range 120 {
		s.Device(fmt.Sprintf("dev-%04d", i))
	}
	b := loggedIn(t, s, auth.Viewer)
	first := b.page("/audit?action=device.")
	mustShow(t, first, "dev-0119", "Older")
	mustNotShow(t, first, "dev-0019", "published a release")
	_, after, _ := strings.Cut(first, `rel="next" href="`)
	next, _, _ := strings.Cut(after, `"`)
	second := b.page(strings.ReplaceAll(next, "&amp;", "&"))
	mustShow(t, second, "dev-0019", "dev-0000")
	mustNotShow(t, second, "Older", "hx-get")
	mustShow(t, b.page("/audit?object=device:sensor_v1/dev-0007"), "dev-0007")
	mustShow(t, b.page("/audit?until=2020-01-01"), "No such records.")
	if resp := b.get("/audit?since=yesterday"); resp.StatusCode != http.StatusBadRequest || !strings.Contains(resp.text, "such as 2026-01-31") {
		t.Errorf("status %d: %s", resp.StatusCode, resp.text)
	}

	resp := b.post("/audit/checkpoint", nil)
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment;") {
		t.Fatalf("status %d, %s", resp.StatusCode, resp.Header.Get("Content-Disposition"))
	}
	mustShow(t, b.postFiles("/audit/verify", file{"checkpoints", []byte(resp.text)}).text, "The log is whole", "1 of them brought along")
	mustShow(t, b.postFiles("/audit/verify").text, "The log is whole")
	other := loggedIn(t, otatest.New(t), auth.Viewer).post("/audit/checkpoint", nil)
	if resp := b.postFiles("/audit/verify", file{"checkpoints", []byte(other.text)}); resp.StatusCode == http.StatusOK {
		t.Error("a checkpoint of another server was taken")
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := loggedIn(t, s, auth.Administrator)
	resp := b.post("/settings/tokens", url.Values{"name": {"ci"}, "role": {"publisher"}, "days": {"30"}})
	checkHTML(t, "/settings/tokens", resp.text)
	_, after, _ := strings.Cut(resp.text, `value="ota_op_`)
	token, _, _ := strings.Cut(after, `"`)
	if resp := newBrowser(t, s).login("ota_op_" + token); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the token that was shown: status %d", resp.StatusCode)
	}
	page := b.page("/settings")
	mustShow(t, page, "<td>ci</td>", "publisher", "this is yours")
	mustNotShow(t, page, token)
	for name, form := range map[string]url.Values{
		"taken": {"name": {"ci"}, "role": {"viewer"}}, "no role": {"name": {"x"}, "role": {"none"}}, "days": {"name": {"x"}, "role": {"viewer"}, "days": {"-1"}},
		"hostile name": {"name": {"<script>"}, "role": {"viewer"}, "days": {"1"}},
	} {
		if resp := b.post("/settings/tokens", form); resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		} else {
			checkHTML(t, name, resp.text)
		}
	}
	rotated := b.post("/settings/tokens/ci/rotate", nil)
	checkHTML(t, "rotate", rotated.text)
	mustShow(t, rotated.text, "Token of ci", `value="ota_op_`)
	mustNotShow(t, rotated.text, token)
	if resp := newBrowser(t, s).login("ota_op_" + token); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the secret from before: status %d", resp.StatusCode)
	}
	b.post("/settings/tokens", url.Values{"name": {"narrow"}, "role": {"viewer"}, "types": {"sensor_v1, gateway_v2"}})
	mustShow(t, b.page("/settings"), `viewer <span class="tag">sensor_v1</span> <span class="tag">gateway_v2</span>`)
	if resp := b.post("/settings/tokens/ci/revoke", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("revoke: status %d", resp.StatusCode)
	}
	mustNotShow(t, b.page("/settings"), "<td>ci</td>")

	resp = b.post("/settings/codes", url.Values{"type": {otatest.DeviceType}, "hours": {"2"}})
	checkHTML(t, "/settings/codes", resp.text)
	mustShow(t, resp.text, "Enrolment code for one sensor_v1", `class="secret"`)
	if resp := b.post("/settings/codes", url.Values{"type": {otatest.DeviceType}, "hours": {"9000"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// What an operator may not do is not shown to him, and refused.
func TestRoles(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("one"))
	s.Device("dev-0001")
	waits := rollout.Spec{Name: "waits", DeviceType: otatest.DeviceType, Release: release.Identity, Stages: []rollout.Stage{{Percent: 100}}}
	if _, err := s.Management().CreateRollout(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	device, one := "/devices/sensor_v1/dev-0001", "/releases/"+release.Identity.String()
	doors := []struct {
		page, shows, post string
		form              url.Values
		needs             auth.Role
	}{
		{"/releases", "Publish a release", "", nil, auth.Publisher},
		{"/rollouts", "New rollout", "/new-rollout", draftForm(release), auth.Publisher},
		{"/rollouts/waits", "start …", "/rollouts/waits/start", nil, auth.Approver},
		{"/rollouts/waits", "delete …", "/rollouts/waits/delete", nil, auth.Publisher},
		{"/settings", "every release to all</option>", "/settings/types/sensor_v1", url.Values{"offer": {"newest"}}, auth.Administrator},
		{"/devices", "Change …", "/devices/edit/yes", url.Values{"op": {"hold"}, "filter": {"type~*"}, "matched": {"9"}}, auth.Approver},
		{device, "Note …", device + "/edit", url.Values{"op": {"hold"}}, auth.Approver},
		{device, "Revoke …", device + "/revoke", url.Values{"why": {"x"}}, auth.Administrator},
		{device, "", device + "/retry", nil, auth.Administrator},
		{one, "Withdraw …", one + "/withdraw", url.Values{"why": {"x"}}, auth.Administrator},
		{"/settings", "New token", "/settings/tokens", url.Values{"name": {"x"}, "role": {"viewer"}}, auth.Administrator},
		{"/settings", "", "/settings/tokens/initial/revoke", nil, auth.Administrator},
		{"/settings", "", "/settings/tokens/initial/rotate", nil, auth.Administrator},
		{"/settings", "Enrolment codes", "/settings/codes", url.Values{"type": {otatest.DeviceType}, "hours": {"1"}}, auth.Administrator},
	}
	raw, _ := signed(t, s, "2.0.0", []byte("two"), nil)
	for role := auth.Viewer; role <= auth.Administrator; role++ {
		b := loggedIn(t, s, role)
		for _, door := range doors {
			if shown := strings.Contains(b.page(door.page), door.shows); door.shows != "" && shown != (role >= door.needs) {
				t.Errorf("%s: %s shows %q: %v", role, door.page, door.shows, shown)
			}
			if door.post == "" || role >= door.needs {
				continue
			}
			resp := b.post(door.post, door.form)
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(resp.text, "not allowed with this role") {
				t.Errorf("%s: %s: status %d: %s", role, door.post, resp.StatusCode, resp.text)
			}
		}
		if role < auth.Publisher {
			for _, form := range []string{"/releases/new", "/new-rollout"} {
				if resp := b.get(form); resp.StatusCode != http.StatusForbidden {
					t.Errorf("%s: the form %s: status %d", role, form, resp.StatusCode)
				}
			}
			if resp := b.postFiles("/releases/new", file{"manifest", raw}, file{"firmware", []byte("two")}); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s publishes: status %d", role, resp.StatusCode)
			}
		}
	}
}

// hostile is a text that would be a script wherever it is not escaped.
const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}javascript:`

func TestHostileTextsAreText(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	ctx := t.Context()
	image := []byte("one")
	raw, doc := signed(t, s, "1.0.0", image, &manifest.Document{Notes: hostile})
	admin := loggedIn(t, s, auth.Administrator)
	resp := admin.postFiles("/releases/new", file{"manifest", raw}, file{"document", doc}, file{"firmware", image})
	release := resp.Header.Get("Location")
	_, err := s.Server.AddDevice(ctx, hostile, server.NewDevice{
		Ref: server.DeviceRef{DeviceType: otatest.DeviceType, ID: "dev-0001"}, Labels: map[string]string{"site": hostile},
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Management().Releases(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	check(t, s, "dev-0001", 1, list[0])
	report(t, s, trust.Report{
		Device: "dev-0001", Nonce: 2, Event: trust.EventFailed, Sequence: list[0].Sequence, ImageDigest: list[0].ImageDigest, Reason: trust.ErrInternal, Detail: hostile,
	})
	if resp := admin.post(strings.Split(release, "?")[0]+"/withdraw", url.Values{"why": {hostile}}); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("status %d: %s", resp.StatusCode, resp.text)
	}
	quoted := url.QueryEscape(hostile)
	pages := append([]string{
		release, "/devices/sensor_v1/dev-0001", "/audit?actor=" + quoted, "/audit?action=" + quoted, "/audit?since=" + quoted, "/audit?object=" + quoted,
		"/?done=" + quoted, "/devices?filter=" + quoted, "/nowhere/" + url.PathEscape(hostile),
	}, paths...)
	shown := 0
	for _, path := range pages {
		resp := admin.get(path)
		checkHTML(t, path, resp.text)
		mustNotShow(t, resp.text, "<script>", "<img")
		if strings.Contains(resp.text, "&lt;script&gt;") {
			shown++
		}
	}
	if shown < 5 {
		t.Errorf("only %d pages show the texts: the test proves nothing", shown)
	}
}

// A form that is no upload is not read beyond its bound, whatever it calls
// itself.
func TestAFormIsBounded(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	b := loggedIn(t, s, auth.Administrator)
	long := bytes.Repeat([]byte("x"), 4<<20)
	for _, path := range []string{"/settings/tokens", "/audit/verify", "/new-rollout", "/devices/edit", "/login"} {
		if resp := b.postFiles(path, file{"name", long}); resp.StatusCode < 400 || resp.StatusCode > 499 {
			t.Errorf("%s: status %d: %s", path, resp.StatusCode, resp.text)
		}
	}
}

func TestAReleaseThatExpiresIsAConcern(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	m := s.Manifest("1.0.0", []byte("one"))
	m.Expires = time.Now().AddDate(0, 0, 7).Truncate(time.Second).UTC()
	s.PublishManifest(m, []byte("one"))
	b := loggedIn(t, s, auth.Viewer)
	mustShow(t, b.page("/"), "Release sensor_v1 1.0.0 expires on "+m.Expires.Format(time.DateOnly))
	s.Publish("1.1.0", []byte("two"))
	mustNotShow(t, b.page("/"), "expires on")
}
