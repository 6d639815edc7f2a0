package api_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// What a request is about, as far as a token's scope goes.
type subject int

const (
	ownType  subject = iota // otatest.DeviceType
	anything                // nothing that has a device type, or only what the scope covers
	allTypes                // all device types: none that names types may
	tokens                  // what could widen a scope: nobody with one may
)

// A right is who may do one thing, and how to try.
type right struct {
	route  api.Route
	needed auth.Role
	about  subject
	action string // as a scope names it
	want   int    // status for who may
	ask    func(w *world) (path, contentType, body string)
}

// A world is a system in which everything can be tried again and again: what a
// try uses up is made anew for each.
type world struct {
	*otatest.System
	t     *testing.T
	m     api.Management
	tried int

	client    *http.Client
	published api.Release // see base
}

func (w *world) number() int { w.tried++; return w.tried }

func (w *world) device() string {
	id := fmt.Sprintf("dev-%d", w.number())
	w.Device(id)
	return "/api/v1/devices/sensor_v1/" + id
}

func (w *world) token() string {
	name := fmt.Sprintf("token-%d", w.number())
	must(w.m.AddToken(w.t.Context(), auth.NewOperator{Name: name, Role: auth.Viewer}))(w.t)
	return "/api/v1/tokens/" + name
}

// bundle returns a release that can be published, whose image is uploaded.
func (w *world) bundle() string {
	n := w.number()
	image := fmt.Appendf(nil, "image %d", n)
	release := w.Manifest(fmt.Sprintf("1.0.%d", n), image)
	if err := w.m.Upload(w.t.Context(), release.ImageDigest, int64(len(image)), strings.NewReader(string(image)), nil); err != nil {
		w.t.Fatal(err)
	}
	raw := must(trust.Bundle{Manifest: signed(w.t, release, w.Release)}.Encode())(w.t)
	return string(raw)
}

func (w *world) publish() api.Release {
	n := w.number()
	return w.Publish(fmt.Sprintf("1.0.%d", n), fmt.Appendf(nil, "image %d", n))
}

func releasePath(r api.Release) string { return "/api/v1/releases/" + r.Identity.String() }

// base returns a release that is there to be looked at and rolled out.
func (w *world) base() api.Release {
	if w.published.Identity.IsZero() {
		w.published = w.publish()
	}
	return w.published
}

func (w *world) spec() string {
	return fmt.Sprintf(`{"name":"rollout-%d","device_type":"sensor_v1","release":"%s","stages":[{"percent":100}]}`, w.number(), w.base().Identity)
}

// draft makes a rollout of somebody who is none of those who try.
func (w *world) draft() string {
	made := must(w.m.CreateRollout(w.t.Context(), rollout.Spec{
		Name: fmt.Sprintf("rollout-%d", w.number()), DeviceType: otatest.DeviceType, Release: w.base().Identity, Stages: []rollout.Stage{{Percent: 100}},
	}))(w.t)
	return "/api/v1/rollouts/" + made.Name
}

// waiting is draft of a device type that waits for rollouts.
func (w *world) waiting() string {
	must(w.m.SetDeviceType(w.t.Context(), rollout.TypeSettings{DeviceType: otatest.DeviceType, Offer: rollout.Rollouts}))(w.t)
	return w.draft()
}

func get(path string) func(*world) (string, string, string) {
	return func(*world) (string, string, string) { return path, "", "" }
}

const why = `{"why":"because"}`

// rights are all that can be done over the API. A route that is not here fails
// the test.
var rights = []right{
	{api.Route{"GET", "/api/v1/info"}, auth.Viewer, anything, "info", 200, get("/api/v1/info")},
	{api.Route{"GET", "/api/v1/openapi.yaml"}, auth.Viewer, anything, "info", 200, get("/api/v1/openapi.yaml")},
	{api.Route{"GET", "/metrics"}, auth.Viewer, allTypes, "metrics", 200, get("/metrics")},

	{api.Route{"GET", "/api/v1/uploads/{digest}"}, auth.Publisher, anything, "upload", 200, get("/api/v1/uploads/" + manifest.Digest{1}.String() + "?size=5")},
	{api.Route{"PATCH", "/api/v1/uploads/{digest}"}, auth.Publisher, anything, "upload", 200, func(w *world) (string, string, string) {
		body := fmt.Sprintf("bytes %d", w.number())
		return fmt.Sprintf("/api/v1/uploads/%x?size=%d", sha256.Sum256([]byte(body)), len(body)), "application/octet-stream", body
	}},
	{api.Route{"POST", "/api/v1/releases/check"}, auth.Publisher, ownType, "release.check", 204, func(w *world) (string, string, string) {
		return "/api/v1/releases/check", "application/cbor", w.bundle()
	}},
	{api.Route{"POST", "/api/v1/releases"}, auth.Publisher, ownType, "release.publish", 201, func(w *world) (string, string, string) {
		return "/api/v1/releases", "application/cbor", w.bundle()
	}},
	{api.Route{"GET", "/api/v1/releases"}, auth.Viewer, ownType, "release.list", 200, get("/api/v1/releases?device_type=sensor_v1")},
	{api.Route{"GET", "/api/v1/releases"}, auth.Viewer, allTypes, "release.list", 200, get("/api/v1/releases")},
	{api.Route{"GET", "/api/v1/releases/{digest}"}, auth.Viewer, ownType, "release.show", 200, func(w *world) (string, string, string) { return releasePath(w.base()), "", "" }},
	{api.Route{"POST", "/api/v1/releases/{digest}/withdraw"}, auth.Administrator, ownType, "release.withdraw", 204, func(w *world) (string, string, string) {
		return releasePath(w.publish()) + "/withdraw", "application/json", why
	}},
	{api.Route{"POST", "/api/v1/keysets"}, auth.Publisher, ownType, "keyset.add", 201, func(w *world) (string, string, string) {
		raw := must(trust.Bundle{Keysets: [][]byte{w.Keyset}, Keys: w.Keys}.Encode())(w.t)
		return "/api/v1/keysets", "application/cbor", string(raw)
	}},
	{api.Route{"POST", "/api/v1/keysets/check"}, auth.Publisher, ownType, "keyset.add", 200, func(w *world) (string, string, string) {
		raw := must(trust.Bundle{Keysets: [][]byte{w.Keyset}, Keys: w.Keys}.Encode())(w.t)
		return "/api/v1/keysets/check", "application/cbor", string(raw)
	}},
	{api.Route{"GET", "/api/v1/keysets"}, auth.Viewer, ownType, "keyset.list", 200, get("/api/v1/keysets?device_type=sensor_v1")},
	{api.Route{"GET", "/api/v1/keysets"}, auth.Viewer, allTypes, "keyset.list", 200, get("/api/v1/keysets")},

	{api.Route{"POST", "/api/v1/devices"}, auth.Administrator, ownType, "device.add", 201, func(w *world) (string, string, string) {
		return "/api/v1/devices", "application/json", fmt.Sprintf(`{"device_type":"sensor_v1","device":"new-%d","level":"keyed"}`, w.number())
	}},
	{api.Route{"POST", "/api/v1/enrolment-codes"}, auth.Administrator, ownType, "enrolment.add", 201, func(w *world) (string, string, string) {
		return "/api/v1/enrolment-codes", "application/json", `{"device_type":"sensor_v1","valid_seconds":60}`
	}},
	{api.Route{"GET", "/api/v1/devices"}, auth.Viewer, ownType, "device.list", 200, get("/api/v1/devices?device_type=sensor_v1")},
	{api.Route{"GET", "/api/v1/devices"}, auth.Viewer, allTypes, "device.list", 200, get("/api/v1/devices")},
	{api.Route{"GET", "/api/v1/devices/{type}/{id}"}, auth.Viewer, ownType, "device.show", 200, func(w *world) (string, string, string) { return w.device(), "", "" }},
	{api.Route{"GET", "/api/v1/devices/{type}/{id}/history"}, auth.Viewer, ownType, "device.history", 200, func(w *world) (string, string, string) {
		return w.device() + "/history", "", ""
	}},
	{api.Route{"PATCH", "/api/v1/devices/{type}/{id}"}, auth.Approver, ownType, "device.edit", 200, func(w *world) (string, string, string) {
		return w.device(), "application/json", `{"hold":true}`
	}},
	{api.Route{"POST", "/api/v1/devices/edit"}, auth.Approver, allTypes, "device.edit", 200, func(w *world) (string, string, string) {
		return "/api/v1/devices/edit", "application/json", fmt.Sprintf(`{"filter":"id=%s","edit":{"hold":true}}`, path.Base(w.device()))
	}},
	{api.Route{"POST", "/api/v1/devices/edit"}, auth.Viewer, allTypes, "device.edit", 200, func(*world) (string, string, string) {
		return "/api/v1/devices/edit", "application/json", `{"filter":"type=sensor_v1","edit":{"hold":true},"dry_run":true}`
	}},
	{api.Route{"POST", "/api/v1/devices/edit"}, auth.Approver, ownType, "device.edit", 200, func(w *world) (string, string, string) {
		return "/api/v1/devices/edit", "application/json", fmt.Sprintf(`{"device_type":"sensor_v1","filter":"id=%s","edit":{"hold":true}}`, path.Base(w.device()))
	}},
	{api.Route{"GET", "/api/v1/fleet/summary"}, auth.Viewer, ownType, "fleet.summary", 200, get("/api/v1/fleet/summary?device_type=sensor_v1")},
	{api.Route{"GET", "/api/v1/fleet/summary"}, auth.Viewer, allTypes, "fleet.summary", 200, get("/api/v1/fleet/summary")},
	{api.Route{"GET", "/api/v1/fleet/exposure"}, auth.Viewer, ownType, "fleet.exposure", 200, get("/api/v1/fleet/exposure?cve=CVE-2026-1234&device_type=sensor_v1")},
	{api.Route{"GET", "/api/v1/fleet/exposure"}, auth.Viewer, allTypes, "fleet.exposure", 200, get("/api/v1/fleet/exposure?cve=CVE-2026-1234")},
	{api.Route{"POST", "/api/v1/sboms"}, auth.Publisher, anything, "sbom.add", 201, func(*world) (string, string, string) {
		return "/api/v1/sboms", "application/json", `{"bomFormat":"CycloneDX","specVersion":"1.6"}`
	}},
	{api.Route{"GET", "/api/v1/releases/{digest}/sbom"}, auth.Viewer, ownType, "release.show", 404, func(w *world) (string, string, string) {
		return releasePath(w.base()) + "/sbom", "", ""
	}},
	{api.Route{"POST", "/api/v1/devices/import"}, auth.Administrator, ownType, "device.import", 200, func(w *world) (string, string, string) {
		return "/api/v1/devices/import", "application/json", fmt.Sprintf(`{"devices":[{"device_type":"sensor_v1","device":"new-%d"}]}`, w.number())
	}},
	{api.Route{"POST", "/api/v1/devices/{type}/{id}/revoke"}, auth.Administrator, ownType, "device.revoke", 204, func(w *world) (string, string, string) {
		return w.device() + "/revoke", "application/json", why
	}},
	{api.Route{"POST", "/api/v1/devices/{type}/{id}/retry"}, auth.Administrator, ownType, "device.retry", 204, func(w *world) (string, string, string) {
		return w.device() + "/retry", "", ""
	}},

	{api.Route{"GET", "/api/v1/audit"}, auth.Viewer, allTypes, "audit.list", 200, get("/api/v1/audit?limit=10")},
	{api.Route{"GET", "/api/v1/audit/checkpoint"}, auth.Viewer, allTypes, "audit.checkpoint", 200, get("/api/v1/audit/checkpoint")},
	{api.Route{"POST", "/api/v1/audit/verify"}, auth.Viewer, allTypes, "audit.verify", 200, func(*world) (string, string, string) {
		return "/api/v1/audit/verify", "application/json", `{"checkpoints":[]}`
	}},

	{api.Route{"POST", "/api/v1/tokens"}, auth.Administrator, tokens, "token.add", 201, func(w *world) (string, string, string) {
		return "/api/v1/tokens", "application/json", fmt.Sprintf(`{"name":"made-%d","role":"viewer"}`, w.number())
	}},
	{api.Route{"GET", "/api/v1/tokens"}, auth.Administrator, tokens, "token.list", 200, get("/api/v1/tokens")},
	{api.Route{"POST", "/api/v1/tokens/{name}/rotate"}, auth.Administrator, tokens, "token.rotate", 200, func(w *world) (string, string, string) { return w.token() + "/rotate", "", "" }},
	{api.Route{"DELETE", "/api/v1/tokens/{name}"}, auth.Administrator, tokens, "token.revoke", 204, func(w *world) (string, string, string) { return w.token(), "", "" }},

	{api.Route{"POST", "/api/v1/rollouts"}, auth.Publisher, ownType, "rollout.create", 201, func(w *world) (string, string, string) {
		return "/api/v1/rollouts", "application/json", w.spec()
	}},
	{api.Route{"POST", "/api/v1/rollouts/plan"}, auth.Viewer, ownType, "rollout.plan", 200, func(w *world) (string, string, string) {
		return "/api/v1/rollouts/plan", "application/json", w.spec()
	}},
	{api.Route{"GET", "/api/v1/rollouts"}, auth.Viewer, ownType, "rollout.list", 200, get("/api/v1/rollouts?device_type=sensor_v1")},
	{api.Route{"GET", "/api/v1/rollouts"}, auth.Viewer, allTypes, "rollout.list", 200, get("/api/v1/rollouts")},
	{api.Route{"GET", "/api/v1/rollouts/{name}"}, auth.Viewer, ownType, "rollout.show", 200, func(w *world) (string, string, string) { return w.draft(), "", "" }},
	{api.Route{"GET", "/api/v1/rollouts/{name}/devices"}, auth.Viewer, ownType, "rollout.devices", 200, func(w *world) (string, string, string) { return w.draft() + "/devices", "", "" }},
	{api.Route{"POST", "/api/v1/rollouts/{name}/{action}"}, auth.Publisher, ownType, "rollout.delete", 200, func(w *world) (string, string, string) {
		return w.draft() + "/delete", "application/json", why
	}},
	{api.Route{"POST", "/api/v1/rollouts/{name}/{action}"}, auth.Approver, ownType, "rollout.start", 200, func(w *world) (string, string, string) {
		return w.waiting() + "/start", "application/json", why
	}},
	{api.Route{"GET", "/api/v1/device-types"}, auth.Viewer, allTypes, "type.list", 200, get("/api/v1/device-types")},
	{api.Route{"GET", "/api/v1/device-types/{type}"}, auth.Viewer, ownType, "type.show", 200, get("/api/v1/device-types/sensor_v1")},
	{api.Route{"PUT", "/api/v1/device-types/{type}"}, auth.Administrator, ownType, "type.set", 200, func(*world) (string, string, string) {
		return "/api/v1/device-types/sensor_v1", "application/json", `{"offer":"rollouts"}`
	}},
}

// A bearer is somebody who asks, with what he has.
type bearer struct {
	name  string
	token string
	role  auth.Role // NoRole: nobody
	types []string  // of the scope
	only  string    // action of the scope; "=": the one that is asked for
}

// status returns what the bearer must be answered.
func (b bearer) status(r right) int {
	switch {
	case b.role == auth.NoRole:
		return http.StatusUnauthorized
	case b.role < r.needed,
		r.about == tokens && (b.types != nil || b.only != ""),
		r.about == allTypes && b.types != nil,
		r.about == ownType && b.types != nil && b.types[0] != otatest.DeviceType,
		b.only != "" && b.only != "=":
		return http.StatusForbidden
	}
	return r.want
}

// bearer makes a token.
func (w *world) bearer(name string, role auth.Role, scope auth.Scope, only string) bearer {
	w.t.Helper()
	token := must(w.m.AddToken(w.t.Context(), auth.NewOperator{Name: fmt.Sprintf("bearer-%d", w.number()), Role: role, Scope: scope}))(w.t)
	return bearer{name: name, token: token.Reveal(), role: role, types: scope.DeviceTypes, only: only}
}

// bearers returns everybody who could ask for something.
func bearers(w *world) []bearer {
	all := []bearer{
		{name: "nobody"}, {name: "a guess", token: auth.NewToken(auth.OperatorPrefix).Reveal()},
		{name: "a device", token: w.TokenDevice(fmt.Sprintf("t-%d", w.number())).Token},
	}
	for role := auth.Viewer; role <= auth.Administrator; role++ {
		all = append(all, w.bearer(role.String(), role, auth.Scope{}, ""))
	}
	for _, t := range []string{otatest.DeviceType, "another"} {
		all = append(all, w.bearer("administrator of "+t, auth.Administrator, auth.Scope{DeviceTypes: []string{t}}, ""))
	}
	const other = "something.else"
	return append(all, w.bearer("administrator for something else", auth.Administrator, auth.Scope{Actions: []string{other}}, other))
}

// newWorld starts a system in which each request can come from an address of
// its own, so that no limit per address gets in the way.
func newWorld(t *testing.T) *world {
	w := &world{t: t, System: newSystem(t, otatest.Options{Config: func(c *server.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}})}
	w.m, w.client = w.Management(), w.HTTPClient()
	return w
}

// try asks as a bearer, from an address where nobody asked before.
func (w *world) try(b bearer, method, path, contentType, body string) (int, string) {
	w.t.Helper()
	req := must(http.NewRequest(method, w.URL+path, strings.NewReader(body)))(w.t)
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if method == "PATCH" {
		req.Header.Set("Upload-Offset", "0")
	}
	n := w.number()
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", n>>8&255, n&255))
	resp := must(w.client.Do(req))(w.t)
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body))(w.t))
}

// Everybody × everything: who may can, who may not gets nothing and changes
// nothing, and both are on record.
func TestWhoMayDoWhat(t *testing.T) {
	served := newHandler(t).Routes()
	listed := map[api.Route]bool{}
	for _, r := range rights {
		listed[r.route] = true
	}
	for _, route := range served {
		if !listed[route] {
			t.Errorf("who may %s %s stands nowhere", route.Method, route.Path)
		}
		delete(listed, route)
	}
	for route := range listed {
		t.Errorf("%s %s is not served", route.Method, route.Path)
	}
	w := newWorld(t)
	everybody := bearers(w)
	for i, r := range rights {
		t.Run(fmt.Sprintf("%d %s %s", i, r.route.Method, r.action), func(t *testing.T) {
			w.t = t
			for _, b := range append(everybody, w.bearer("administrator for this alone", auth.Administrator, auth.Scope{Actions: []string{r.action}}, "=")) {
				w.hold(b, r)
			}
		})
	}
}

// hold holds what a bearer gets against what he may.
func (w *world) hold(b bearer, r right) {
	w.t.Helper()
	path, contentType, body := r.ask(w)
	before, want := w.head(), b.status(r)
	if got, answer := w.try(b, r.route.Method, path, contentType, body); got != want {
		w.t.Errorf("%s: status %d, want %d: %.200s", b.name, got, want, answer)
	}
	if want == r.want {
		return
	}
	for _, record := range must(w.m.AuditRecords(w.t.Context(), audit.Filter{After: before}))(w.t) {
		if !strings.HasPrefix(record.Action, "refused") && record.Actor != "system" {
			w.t.Errorf("%s was refused, and changed something: %s", b.name, record)
		}
	}
}

// head returns the number of the newest audit record.
func (w *world) head() int64 {
	w.t.Helper()
	newest := must(w.m.AuditRecords(w.t.Context(), audit.Filter{Limit: 1}))(w.t)
	return newest[0].Seq
}

// What ends a token ends it for everything.
func TestATokenThatHasEndedOpensNothing(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	revoked := must(w.m.AddToken(ctx, auth.NewOperator{Name: "revoked", Role: auth.Administrator}))(t)
	rotated := must(w.m.AddToken(ctx, auth.NewOperator{Name: "rotated", Role: auth.Administrator}))(t)
	expired := must(w.m.AddToken(ctx, auth.NewOperator{Name: "expired", Role: auth.Administrator, Valid: 1}))(t)
	if err := w.m.RevokeToken(ctx, "revoked"); err != nil {
		t.Fatal(err)
	}
	fresh := must(w.m.RotateToken(ctx, "rotated"))(t)
	for name, token := range map[string]auth.Token{"revoked": revoked, "rotated": rotated, "expired": expired} {
		for _, r := range rights { // the path does not matter: nobody gets as far
			path, contentType, body := r.route.Path, "application/json", why
			if got, _ := w.try(bearer{token: token.Reveal()}, r.route.Method, path, contentType, body); got != 401 {
				t.Errorf("%s: %s %s: status %d", name, r.route.Method, r.route.Path, got)
			}
		}
	}
	if got, _ := w.try(bearer{token: fresh.Reveal()}, "GET", "/api/v1/info", "", ""); got != 200 {
		t.Errorf("the new secret: status %d", got)
	}
}

func TestAScopedTokenSeesItsOwnTypesAndNoOthers(t *testing.T) {
	w := newWorld(t)
	w.Device("dev-1")
	token := must(w.m.AddToken(t.Context(), auth.NewOperator{Name: "other", Role: auth.Viewer, Scope: auth.Scope{DeviceTypes: []string{"another"}}}))(t)
	other := must(api.NewClient(api.ClientConfig{URL: w.URL, Token: token, Fingerprint: w.Fingerprint}))(t)
	info := must(other.Info(t.Context()))(t)
	if len(info.DeviceTypes) != 0 || info.Devices != 0 {
		t.Errorf("of what is not its own it sees %+v", info)
	}
	if list := must(other.Devices(t.Context(), api.DeviceQuery{DeviceType: "another", After: fleet.Ref{DeviceType: "another"}}))(t); len(list) != 0 {
		t.Errorf("devices %+v", list)
	}
}

// Addresses from which nobody came before are turned away while somebody tries
// tokens from everywhere; operators who were here are not.
func TestGuessesFromEverywhereKeepNoOperatorOut(t *testing.T) {
	w := newWorld(t)
	from := func(address, token string) int {
		req := must(http.NewRequest("GET", w.URL+"/api/v1/info", nil))(t)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("X-Forwarded-For", address)
		resp := must(w.client.Do(req))(t)
		resp.Body.Close()
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return resp.StatusCode
	}
	if got := from("203.0.113.1", w.Token); got != 200 {
		t.Fatalf("status %d", got)
	}
	refused := 0
	for i := range 2000 {
		if from(fmt.Sprintf("198.18.%d.%d", i>>8, i&255), "wrong") == 429 {
			if refused++; refused == 20 {
				break
			}
		}
	}
	if refused < 20 {
		t.Fatalf("only %d of 2000 guesses from as many addresses were turned away", refused)
	}
	if got := from("203.0.113.1", w.Token); got != 200 {
		t.Errorf("an operator who was here before: status %d", got)
	}
}

// A release's bundle may bring newer keysets. It is no way to add one past a
// scope: of another device type, or where only releases are to be published.
func TestABundleBringsNoKeysetPastAScope(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	first := must(trust.OpenHeld(w.Keyset, w.Keys))(t).Keyset()
	keyset := func(deviceType string, version uint32) []byte {
		ks := *first
		ks.DeviceType, ks.Version = deviceType, version
		return w.SignKeyset(&ks, w.Roots...)
	}
	must(w.m.AddKeyset(ctx, trust.Bundle{Keysets: [][]byte{keyset("another", 1)}, Keys: w.Keys}))(t)
	publish := func(scope auth.Scope, keysets ...[]byte) error {
		t.Helper()
		image := fmt.Sprint("image ", w.number())
		m := w.Manifest(fmt.Sprintf("9.0.%d", w.number()), []byte(image))
		if err := w.m.Upload(ctx, m.ImageDigest, int64(len(image)), strings.NewReader(image), nil); err != nil {
			t.Fatal(err)
		}
		b := w.bearer("publisher", auth.Publisher, scope, "")
		client := must(api.NewClient(api.ClientConfig{URL: w.URL, Token: auth.Token(b.token), Fingerprint: w.Fingerprint}))(t)
		_, err := client.AddRelease(ctx, trust.Bundle{Keysets: keysets, Keys: w.Keys, Manifest: signed(t, m, w.Release)})
		return err
	}
	ofType, ofAction := auth.Scope{DeviceTypes: []string{otatest.DeviceType}}, auth.Scope{Actions: []string{"release.publish"}}
	if err := publish(ofType, keyset("another", 2)); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("a keyset of another type: %v", err)
	}
	if err := publish(ofAction, keyset(otatest.DeviceType, 2)); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("a keyset by who publishes releases: %v", err)
	}
	for _, deviceType := range []string{"another", otatest.DeviceType} {
		if list := must(w.m.Keysets(ctx, deviceType))(t); len(list) != 1 {
			t.Errorf("%s has %d keysets", deviceType, len(list))
		}
	}
	if err := publish(ofAction, w.Keyset); err != nil {
		t.Errorf("a keyset that is no news: %v", err)
	}
	if err := publish(ofType, keyset(otatest.DeviceType, 2)); err != nil {
		t.Errorf("a keyset of its own type: %v", err)
	}
}
