package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/otatest"
)

// staged is a server with devices whose type waits for rollouts.
func staged(t *testing.T, devices int, critical bool) (*otatest.System, api.Release) {
	t.Helper()
	s := otatest.New(t)
	r := s.Publish("1.0.0", []byte("one"))
	for i := range devices {
		s.Device(fmt.Sprintf("dev-%04d", i))
	}
	settings := rollout.TypeSettings{DeviceType: otatest.DeviceType, Offer: rollout.Rollouts, Critical: critical}
	if _, err := s.Management().SetDeviceType(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	return s, r
}

func draftForm(r api.Release) url.Values {
	return url.Values{
		"name": {"spring"}, "release": {r.Identity.String()}, "part1": {"2"}, "soak1": {"1h"}, "gate1": {"on"}, "part3": {"100%"}, "failure3": {"2.5%"},
		"pace": {"60"}, "from": {"22:00"}, "to": {"05:00"}, "day": {"mon", "tue"}, "retries": {"0"}, "note": {"as agreed\r\non monday"},
	}
}

func TestARolloutIsPlannedDraftedStartedAndHalted(t *testing.T) {
	t.Parallel()
	s, r := staged(t, 5, false)
	publisher, approver := loggedIn(t, s, auth.Publisher), loggedIn(t, s, auth.Approver)
	mustShow(t, publisher.page("/rollouts"), "No rollouts yet", "/new-rollout")
	form := publisher.page("/new-rollout?release=" + r.Identity.String())
	mustShow(t, form, `<option value="`+r.Identity.String()+`" selected>sensor_v1 1.0.0`, `name="part3" value="100%"`)

	resp := publisher.post("/new-rollout/plan", draftForm(r))
	checkHTML(t, "/new-rollout/plan", resp.text)
	mustShow(t, resp.text, "What it would do", "<b>5 devices</b>", "Create the draft", `name="part2" value="100%"`, "as agreed\non monday", `value="mon" checked`)
	if list, err := s.Management().Rollouts(t.Context(), rollout.Query{}); err != nil || len(list) != 0 {
		t.Fatalf("the plan created %v, %v", list, err)
	}

	resp = publisher.post("/new-rollout", draftForm(r))
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/rollouts/spring?done=drafted" {
		t.Fatalf("status %d: %s", resp.StatusCode, resp.text)
	}
	made, err := s.Management().Rollout(t.Context(), "spring")
	if err != nil {
		t.Fatal(err)
	}
	spec := made.Spec
	if len(spec.Stages) != 2 || spec.Stages[0].Count != 2 || !spec.Stages[0].Gate || spec.Stages[0].Soak.String() != "1h" || spec.Stages[1].Percent != 100 ||
		spec.Stages[1].FailurePercent != 2.5 || spec.Pace != 60 || spec.Window.String() != "mon,tue 22:00-05:00" || spec.Retries != rollout.NoRetries || spec.Note != "as agreed\non monday" {
		t.Errorf("drafted %+v", spec)
	}

	page := publisher.page("/rollouts/spring")
	mustShow(t, page, "draft", "2 devices", "100 %", "mon,tue 22:00-05:00 UTC", "delete …")
	mustNotShow(t, page, "start …")
	mustShow(t, approver.page("/rollouts/spring"), "start …")
	for _, step := range []struct{ action, why, state, next string }{
		{"start", "", "scheduled", "abort …"}, {"abort", "wrong release", "aborted", "wrong release"},
	} {
		resp := approver.post("/rollouts/spring/"+step.action, url.Values{"why": {step.why}})
		if resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s: status %d: %s", step.action, resp.StatusCode, resp.text)
		}
		mustShow(t, approver.page("/rollouts/spring"), step.next)
	}
	mustNotShow(t, approver.page("/rollouts/spring"), "Actions")
	if resp := approver.post("/rollouts/spring/start", nil); resp.StatusCode != http.StatusConflict || !strings.Contains(resp.text, "Look at it again") {
		t.Errorf("start after the end: status %d: %s", resp.StatusCode, resp.text)
	}
	mustShow(t, approver.page("/rollouts"), "spring", "aborted")
	approver.page("/rollouts/spring/devices")
	approver.page("/rollouts/spring/devices?state=confirmed")
}

func TestADraftThatIsWrongSaysWhere(t *testing.T) {
	t.Parallel()
	s, r := staged(t, 1, false)
	b := loggedIn(t, s, auth.Publisher)
	for name, c := range map[string]struct{ field, value, words string }{
		"no release":     {"release", "", "choose one"},
		"no name":        {"name", "", "name is empty"},
		"hostile name":   {"name", "<script>", "is not a letter"},
		"filter":         {"filter", "label.site==x", ""},
		"share":          {"part1", "101%", "stage 1"},
		"shrinks":        {"part3", "1", "cumulative"},
		"group":          {"part1", "label.ring=", "stage 1"},
		"soak":           {"soak1", "soon", "want for instance 90m"},
		"pace":           {"pace", "-1", "whole number"},
		"time of day":    {"from", "25:00", "want HH:MM"},
		"day":            {"day", "someday", "want one of"},
		"way back":       {"send_back", "x", "choose one"},
		"start":          {"start_at", "now", "start"},
		"unknown reason": {"retries", "many", "whole number"},
	} {
		form := draftForm(r)
		form.Set(c.field, c.value)
		if name == "shrinks" {
			form.Set("part1", "2")
		}
		for _, path := range []string{"/new-rollout/plan", "/new-rollout"} {
			resp := b.post(path, form)
			checkHTML(t, name, resp.text)
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(resp.text, c.words) {
				t.Errorf("%s, %s: status %d: %s", name, path, resp.StatusCode, resp.text)
			}
			mustShow(t, resp.text, "as agreed")
		}
	}
	resp := b.post("/new-rollout/plan", url.Values{"add": {"yes"}, "name": {"kept"}, "part1": {"5%"}})
	mustShow(t, resp.text, `name="part4"`, `value="kept"`, `value="5%"`)
	if list, err := s.Management().Rollouts(t.Context(), rollout.Query{}); err != nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
}

func TestASecondPersonApprovesACriticalType(t *testing.T) {
	t.Parallel()
	s, r := staged(t, 1, true)
	author, other := loggedIn(t, s, auth.Approver), loggedIn(t, s, auth.Administrator)
	author.post("/new-rollout", draftForm(r))
	if resp := author.post("/rollouts/spring/start", nil); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("start: status %d: %s", resp.StatusCode, resp.text)
	}
	mustShow(t, other.page("/"), "awaits the approval of a second person")
	mustNotShow(t, author.page("/rollouts/spring"), "approve …")
	if resp := author.post("/rollouts/spring/approve", nil); resp.StatusCode != 422 || !strings.Contains(resp.text, "another approver") {
		t.Errorf("his own: status %d: %s", resp.StatusCode, resp.text)
	}
	mustShow(t, other.page("/rollouts/spring"), "approve …")
	if resp := other.post("/rollouts/spring/approve", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("approve: status %d: %s", resp.StatusCode, resp.text)
	}
}

func TestDeviceTypesSettings(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	admin := loggedIn(t, s, auth.Administrator)
	form := url.Values{"offer": {"rollouts"}, "critical": {"on"}, "support_end": {"2020-12-31"}}
	if resp := admin.post("/settings/types/sensor_v1", form); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("status %d: %s", resp.StatusCode, resp.text)
	}
	mustShow(t, admin.page("/settings"), `<option value="rollouts" selected>`, `name="critical" checked`, `value="2020-12-31"`)
	mustShow(t, admin.page("/"), "Support of sensor_v1 ended on 2020-12-31")
	viewer := loggedIn(t, s, auth.Viewer)
	mustShow(t, viewer.page("/settings"), "supported until 2020-12-31")
	mustNotShow(t, viewer.page("/settings"), "Operators&#39; tokens", `name="offer"`)
	for name, form := range map[string]url.Values{"offer": {"offer": {"all"}}, "day": {"offer": {"newest"}, "support_end": {"soon"}}} {
		if resp := admin.post("/settings/types/sensor_v1", form); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
	if resp := admin.post("/settings/types/nothing", url.Values{"offer": {"newest"}}); resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown type: status %d", resp.StatusCode)
	}
}
