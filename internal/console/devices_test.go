package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
)

func devicesURL(filter string) string { return "/devices?" + url.Values{"filter": {filter}}.Encode() }

// labelled is a server with devices in two places.
func labelled(t *testing.T, devices int) *otatest.System {
	t.Helper()
	s := otatest.New(t)
	for i := range devices {
		_, err := s.Server.AddDevice(t.Context(), "otatest", server.NewDevice{
			Ref: server.DeviceRef{DeviceType: otatest.DeviceType, ID: fmt.Sprintf("dev-%04d", i)}, Labels: map[string]string{"site": []string{"berlin", "oslo"}[i%2]},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestDevicesAreFoundByFilter(t *testing.T) {
	t.Parallel()
	s := labelled(t, 5)
	b := loggedIn(t, s, auth.Viewer)
	page := b.page(devicesURL("label.site=oslo"))
	mustShow(t, page, "dev-0001", "dev-0003", "2 devices", `value="label.site=oslo"`, `href="/devices?filter=label.site%3Doslo"`)
	mustNotShow(t, page, "dev-0000", "Change …")
	mustShow(t, b.page("/devices?label=site"),
		`<a href="/devices?filter=label.site%3Dberlin&amp;label=site">berlin <small>3</small></a>`, `<a href="/devices?filter=label.site%3Doslo&amp;label=site">oslo <small>2</small></a>`)
	mustShow(t, b.page(devicesURL("state=silent")), "No device is like that.", `<a href="/devices">All devices</a>`)
	mustShow(t, b.page("/devices?sort=-id"), `aria-sort="descending"`, `href="/devices?sort=id"`)

	resp := b.get(devicesURL("label.site=oslo and state=ofline"))
	checkHTML(t, "filter", resp.text)
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
	mustShow(t, resp.text, `aria-invalid="true"`, "label.site=oslo and state=ofline\n                          ^\n", "state is one of", `value="label.site=oslo and state=ofline"`)
	for _, path := range []string{"/devices?sort=beauty", "/devices?label=%00"} {
		if resp := b.get(path); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
	}
}

func TestTheListOfDevicesHasPages(t *testing.T) {
	t.Parallel()
	s := labelled(t, 230)
	b := loggedIn(t, s, auth.Viewer)
	for _, sort := range []string{"", "-id", "added", "state"} {
		seen, path := map[string]bool{}, "/devices?sort="+sort
		for range 5 {
			page := b.page(path)
			for _, part := range strings.Split(page, `<a href="/devices/sensor_v1/`)[1:] {
				id, _, _ := strings.Cut(part, `"`)
				seen[id] = true
			}
			_, after, more := strings.Cut(page, `rel="next" href="`)
			if !more {
				break
			}
			next, _, _ := strings.Cut(after, `"`)
			path = strings.ReplaceAll(next, "&amp;", "&")
		}
		if len(seen) != 230 {
			t.Errorf("sorted by %q: %d devices on all pages", sort, len(seen))
		}
	}
}

func device(t *testing.T, s *otatest.System, id string) api.Device {
	t.Helper()
	d, err := s.Management().Device(t.Context(), fleet.Ref{DeviceType: otatest.DeviceType, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOperatorsChangeADevice(t *testing.T) {
	t.Parallel()
	s := labelled(t, 1)
	s.Publish("1.0.0", []byte("one"))
	b := loggedIn(t, s, auth.Approver)
	path := "/devices/sensor_v1/dev-0000"
	mustShow(t, b.page(path), "Hold", "Pin …", "Label …", "Note …", "Update now", "<option>1.0.0</option>")
	mustNotShow(t, b.page(path), "Revoke …")
	for _, form := range []url.Values{
		{"op": {"hold"}}, {"op": {"pin"}, "value": {"1.0.0"}}, {"op": {"now"}}, {"op": {"note"}, "note": {"on the roof\r\n" + hostile}},
		{"op": {"label"}, "key": {"ring"}, "value": {hostile}}, {"op": {"unlabel"}, "key": {"site"}},
	} {
		if resp := b.post(path+"/edit", form); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("%v: status %d: %s", form, resp.StatusCode, resp.text)
		}
	}
	d := device(t, s, "dev-0000")
	if !d.Hold || d.Pin != "1.0.0" || !d.UpdateNow || d.Note != "on the roof\n"+hostile || d.Labels["ring"] != hostile || len(d.Labels) != 1 {
		t.Errorf("the device is %+v", d)
	}
	page := b.page(path)
	mustShow(t, page, "nothing is offered to it", "Release the hold", "Remove the pin", "Wait in rollouts again", "on the roof")
	mustNotShow(t, page, "<script>", "<img")
	mustNotShow(t, b.page("/devices"), "<script>", "<img")
	mustNotShow(t, b.page("/audit"), "<script>", "<img")
	for _, form := range []url.Values{{"op": {"unhold"}}, {"op": {"unpin"}}, {"op": {"wait"}}, {"op": {"note"}}} {
		b.post(path+"/edit", form)
	}
	if d := device(t, s, "dev-0000"); d.Hold || d.Pin != "" || d.UpdateNow || d.Note != "" {
		t.Errorf("the device is %+v", d)
	}
	for name, form := range map[string]url.Values{
		"nothing": {}, "no key": {"op": {"label"}}, "no version": {"op": {"pin"}}, "a version that is not here": {"op": {"pin"}, "value": {"9.9.9"}},
		"too long": {"op": {"note"}, "note": {strings.Repeat("x", 2000)}},
	} {
		if resp := b.post(path+"/edit", form); resp.StatusCode < 400 || resp.StatusCode > 499 {
			t.Errorf("%s: status %d: %s", name, resp.StatusCode, resp.text)
		}
	}
}

func TestManyDevicesAreChangedAfterAQuestion(t *testing.T) {
	t.Parallel()
	s := labelled(t, 6)
	b := loggedIn(t, s, auth.Approver)
	held := func() (n int) {
		for i := range 6 {
			if device(t, s, fmt.Sprintf("dev-%04d", i)).Hold {
				n++
			}
		}
		return n
	}
	ask := b.post("/devices/edit", url.Values{"op": {"hold"}, "which": {"all"}, "filter": {"label.site=oslo"}})
	checkHTML(t, "/devices/edit", ask.text)
	mustShow(t, ask.text, "hold <b>3 devices</b>?", `name="matched" value="3"`, "dev-0001")
	if held() != 0 {
		t.Fatal("the question changed something")
	}
	yes := url.Values{"op": {"hold"}, "filter": {"label.site=oslo"}, "matched": {"3"}, "why": {"storm"}}
	if resp := b.post("/devices/edit/yes", yes); resp.StatusCode != http.StatusSeeOther || held() != 3 {
		t.Errorf("status %d, %d held: %s", resp.StatusCode, held(), resp.text)
	}
	mustShow(t, b.page(devicesURL("hold")), "3 devices", `<span class="tag">hold</span>`)

	ask = b.post("/devices/edit", url.Values{"op": {"unhold"}, "which": {"checked"}, "device": {"sensor_v1/dev-0001", "sensor_v1/dev-0003"}})
	mustShow(t, ask.text, "release the hold of <b>2 devices</b>?", "type=sensor_v1 and (id=dev-0001 or id=dev-0003)")
	if resp := b.post("/devices/edit", url.Values{"op": {"hold"}, "which": {"checked"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("nothing checked: status %d", resp.StatusCode)
	}
	more := url.Values{"op": {"hold"}, "filter": {"type~*"}, "matched": {"3"}}
	if resp := b.post("/devices/edit/yes", more); resp.StatusCode < 400 || held() != 3 {
		t.Errorf("more devices than were asked about: status %d, %d held", resp.StatusCode, held())
	}
	if resp := b.post("/devices/edit/yes", url.Values{"op": {"hold"}, "matched": {"100"}}); resp.StatusCode != http.StatusBadRequest || held() != 3 {
		t.Errorf("no filter: status %d, %d held", resp.StatusCode, held())
	}
	if resp := loggedIn(t, s, auth.Publisher).post("/devices/edit/yes", yes); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a publisher: status %d", resp.StatusCode)
	}
}

// A pin goes past the second person, so an approver is not asked for one.
func TestAnApproverIsNotAskedToPinACriticalDevice(t *testing.T) {
	t.Parallel()
	s := labelled(t, 1)
	s.Publish("1.0.0", []byte("one"))
	approver, path := loggedIn(t, s, auth.Approver), "/devices/sensor_v1/dev-0000"
	mustShow(t, approver.page(path), `name="op" value="pin"`)
	settings := rollout.TypeSettings{DeviceType: otatest.DeviceType, Offer: rollout.Rollouts, Critical: true}
	if _, err := s.Management().SetDeviceType(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	page := approver.page(path)
	mustShow(t, page, "only an administrator pins one")
	mustNotShow(t, page, `name="op" value="pin"`)
	mustShow(t, loggedIn(t, s, auth.Administrator).page(path), `name="op" value="pin"`)
}

// A token that is narrowed to a device type sees what it may, and its pages ask
// for nothing that would be refused.
func TestANarrowedOperatorSeesHisTypes(t *testing.T) {
	t.Parallel()
	s := labelled(t, 2)
	r := s.Publish("1.0.0", []byte("one"))
	token, err := s.Management().AddToken(t.Context(), auth.NewOperator{
		Name: "narrow", Role: auth.Administrator, Scope: auth.Scope{DeviceTypes: []string{otatest.DeviceType}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, s)
	b.login(token.Reveal())
	mustShow(t, b.page("/devices?filter=label.site%3Doslo"), "dev-0001", "1 device<")
	for _, path := range []string{"/", "/devices", "/devices/sensor_v1/dev-0000", "/releases", "/releases/" + r.Identity.String(), "/rollouts", "/keys", "/settings"} {
		mustNotShow(t, b.page(path), `href="/audit`, "Operators&#39; tokens")
	}
	ask := b.post("/devices/edit", url.Values{"type": {otatest.DeviceType}, "op": {"hold"}, "which": {"all"}})
	mustShow(t, ask.text, "hold <b>2 devices</b>?", `name="type" value="sensor_v1"`)
	yes := url.Values{"type": {otatest.DeviceType}, "op": {"hold"}, "filter": {"type~*"}, "matched": {"2"}}
	if resp := b.post("/devices/edit/yes", yes); resp.StatusCode != http.StatusSeeOther || !device(t, s, "dev-0000").Hold {
		t.Errorf("many devices: status %d: %s", resp.StatusCode, resp.text)
	}
	if ask := b.post("/devices/edit", url.Values{"type": {"another"}, "op": {"unhold"}, "which": {"all"}}); !strings.Contains(ask.text, `name="type" value="sensor_v1"`) {
		t.Errorf("a type that is not his: %s", ask.text)
	}
	records, err := s.Management().AuditRecords(t.Context(), auditOf("refused.forbidden"))
	if err != nil || len(records) != 0 {
		t.Errorf("%d refusals on record, %v: %+v", len(records), err, records)
	}
}
