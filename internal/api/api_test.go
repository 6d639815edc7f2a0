package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

func ref(id string) fleet.Ref { return fleet.Ref{DeviceType: otatest.DeviceType, ID: id} }

// each runs a test against both implementations of Management.
func each(t *testing.T, test func(t *testing.T, s *otatest.System, m api.Management)) {
	t.Run("local", func(t *testing.T) { s := newSystem(t); test(t, s, s.Management()) })
	t.Run("over HTTPS", func(t *testing.T) { s := newSystem(t); test(t, s, s.Remote()) })
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func signed(t *testing.T, m *manifest.Manifest, by ...*signing.Key) []byte {
	t.Helper()
	raw := must(trust.UnsignedManifest(m))(t)
	for _, key := range by {
		raw = must(trust.SignManifest(raw, key))(t)
	}
	return raw
}

func TestADayOfAnOperator(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		ctx := t.Context()
		info := must(m.Info(ctx))(t)
		if info.Vendor != otatest.Vendor || info.Fingerprint != s.Fingerprint || info.Role != auth.Administrator || len(info.DeviceTypes) != 1 {
			t.Errorf("info %+v", info)
		}
		image := make([]byte, 300_000)
		rand.Read(image)
		release := s.Manifest("1.0.0", image)
		bundle := trust.Bundle{Manifest: signed(t, release, s.Release)}
		if err := m.CheckRelease(ctx, bundle); err != nil {
			t.Error(err)
		}
		if _, err := m.AddRelease(ctx, bundle); !errors.Is(err, repository.ErrNoImage) {
			t.Errorf("published before its image was uploaded: %v", err)
		}
		var last atomic.Int64
		progress := func(done, total int64) {
			if total != int64(len(image)) || done < last.Load() {
				t.Errorf("progress %d of %d after %d", done, total, last.Load())
			}
			last.Store(done)
		}
		for range 2 { // the second finds it done
			if err := m.Upload(ctx, release.ImageDigest, int64(len(image)), bytes.NewReader(image), progress); err != nil {
				t.Fatal(err)
			}
		}
		if last.Load() != int64(len(image)) {
			t.Errorf("progress ended at %d", last.Load())
		}
		published := must(m.AddRelease(ctx, bundle))(t)
		if published.Version.String() != "1.0.0" || published.ImageSize != int64(len(image)) || published.Withdrawal != nil {
			t.Errorf("release %+v", published)
		}
		if list := must(m.Releases(ctx, ""))(t); len(list) != 1 || list[0].Identity != published.Identity {
			t.Errorf("releases %+v", list)
		}
		if err := m.WithdrawRelease(ctx, published.Identity, "bricks"); err != nil {
			t.Error(err)
		}
		if shown := must(m.Release(ctx, published.Identity))(t); shown.Withdrawal == nil || shown.Withdrawal.Reason != "bricks" {
			t.Errorf("release %+v", shown)
		}
		if keysets := must(m.Keysets(ctx, otatest.DeviceType))(t); len(keysets) != 1 || keysets[0].RootThreshold != 2 {
			t.Errorf("keysets %+v", keysets)
		}

		if p := must(m.AddDevice(ctx, fleet.NewDevice{Ref: ref("dev-1"), Labels: map[string]string{"site": "Köln"}}))(t); len(p.UpKey) != 64 || p.Token != "" || len(p.Keys) != 4 {
			t.Errorf("provisioning %+v of a keyed device", p)
		}
		if p := must(m.AddDevice(ctx, fleet.NewDevice{Ref: ref("dev-2"), Level: fleet.TokenOnly}))(t); p.UpKey != "" || !strings.HasPrefix(p.Token, auth.DevicePrefix) {
			t.Errorf("provisioning %+v of a device with a token", p)
		}
		if code := must(m.AddEnrolmentCode(ctx, fleet.NewCode{DeviceType: otatest.DeviceType, Valid: time.Hour}))(t); len(code.Code) != 19 {
			t.Errorf("code %q", code.Code)
		}
		if err := m.RevokeDevice(ctx, ref("dev-2"), "sold"); err != nil {
			t.Error(err)
		}
		first := must(m.Devices(ctx, api.DeviceQuery{Limit: 1}))(t)
		rest := must(m.Devices(ctx, api.DeviceQuery{After: first[0].Ref}))(t)
		if len(first) != 1 || len(rest) != 1 || first[0].Labels["site"] != "Köln" || !rest[0].Revoked {
			t.Errorf("pages %+v and %+v", first, rest)
		}

		token := must(m.AddToken(ctx, auth.NewOperator{Name: "ci", Role: auth.Publisher, Valid: time.Hour}))(t)
		if !strings.HasPrefix(token.Reveal(), auth.OperatorPrefix) {
			t.Error("no token")
		}
		if list := must(m.Tokens(ctx))(t); len(list) != 2 || list[1].Name != "ci" || list[1].ExpiresAt.IsZero() {
			t.Errorf("tokens %+v", list)
		}
		if err := m.RevokeToken(ctx, "ci"); err != nil {
			t.Error(err)
		}

		checkpoint := must(m.AuditCheckpoint(ctx))(t)
		state := must(m.VerifyAudit(ctx, [][]byte{checkpoint.Signed}))(t)
		if state.Records < checkpoint.Seq || state.Confirmed != checkpoint.Seq {
			t.Errorf("audit %+v, checkpoint of record %d", state, checkpoint.Seq)
		}
		for _, r := range must(m.AuditRecords(ctx, audit.Filter{Action: "release.", Oldest: true}))(t) {
			if r.ComputeHash() != r.Hash {
				t.Errorf("record %d did not travel whole", r.Seq)
			}
		}
	})
}

func TestErrorsAreTheSameOnBothSides(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		ctx, image := t.Context(), []byte("image")
		old := s.Publish("2.0.0", image)
		lower := s.Manifest("1.0.0", image)
		sameSequence := s.Manifest("3.0.0", image)
		sameSequence.Sequence = old.Sequence
		stranger := must(signing.Generate(trust.Ed25519))(t)
		s.Device("dev-1")
		_, invalidDevice := m.AddDevice(ctx, fleet.NewDevice{Ref: ref("../x")})
		_, twice := m.AddDevice(ctx, fleet.NewDevice{Ref: ref("dev-1")})
		_, noType := m.AddDevice(ctx, fleet.NewDevice{Ref: fleet.Ref{DeviceType: "other", ID: "x"}})
		_, noRelease := m.Release(ctx, manifest.Digest{1})
		_, noDevice := m.Device(ctx, ref("nobody"))
		_, tokenTwice := m.AddToken(ctx, auth.NewOperator{Name: "admin", Role: auth.Viewer})
		publish := func(release *manifest.Manifest, by ...*signing.Key) error {
			_, err := m.AddRelease(ctx, trust.Bundle{Manifest: signed(t, release, by...)})
			return err
		}
		for name, c := range map[string]struct {
			got, want error
			reason    trust.Reason
		}{
			"invalid device":  {invalidDevice, fleet.ErrInvalid, 0},
			"device twice":    {twice, fleet.ErrExists, 0},
			"unknown type":    {noType, fleet.ErrNoKeyset, 0},
			"no release":      {noRelease, repository.ErrNotFound, 0},
			"no device":       {noDevice, fleet.ErrNotFound, 0},
			"token twice":     {tokenTwice, auth.ErrExists, 0},
			"no token":        {m.RevokeToken(ctx, "nobody"), auth.ErrNotFound, 0},
			"unsigned":        {publish(s.Manifest("4.0.0", image)), repository.ErrUnsigned, trust.ErrNotEnoughSigners},
			"signed by a key": {publish(s.Manifest("4.0.0", image), stranger), trust.ErrNotEnoughSigners, trust.ErrNotEnoughSigners},
			"version":         {publish(lower, s.Release), repository.ErrVersion, trust.ErrOldVersion},
			"sequence":        {publish(sameSequence, s.Release), repository.ErrSequence, trust.ErrOldSequence},
			"wrong bytes": {m.Upload(ctx, manifest.Digest{2}, int64(len(image)), bytes.NewReader(image), nil),
				repository.ErrImage, trust.ErrImageDigest},
		} {
			t.Run(name, func(t *testing.T) {
				if !errors.Is(c.got, c.want) {
					t.Errorf("%v is not %v", c.got, c.want)
				}
				if c.reason != 0 && trust.ReasonOf(c.got) != c.reason {
					t.Errorf("reason %d of %v, want %d", trust.ReasonOf(c.got), c.got, c.reason)
				}
			})
		}
	})
}

func TestARoleAllowsWhatItShouldAndNoMore(t *testing.T) {
	s := newSystem(t)
	image := []byte("image")
	release := s.Publish("1.0.0", image)
	s.Device("dev-1")
	calls := []struct {
		name   string
		needed auth.Role
		call   func(ctx context.Context, m api.Management) error
	}{
		{"info", auth.Viewer, func(ctx context.Context, m api.Management) error { _, err := m.Info(ctx); return err }},
		{"releases", auth.Viewer, func(ctx context.Context, m api.Management) error { _, err := m.Releases(ctx, ""); return err }},
		{"release", auth.Viewer, func(ctx context.Context, m api.Management) error {
			_, err := m.Release(ctx, release.Identity)
			return err
		}},
		{"keysets", auth.Viewer, func(ctx context.Context, m api.Management) error { _, err := m.Keysets(ctx, ""); return err }},
		{"devices", auth.Viewer, func(ctx context.Context, m api.Management) error {
			_, err := m.Devices(ctx, api.DeviceQuery{})
			return err
		}},
		{"device", auth.Viewer, func(ctx context.Context, m api.Management) error { _, err := m.Device(ctx, ref("dev-1")); return err }},
		{"audit", auth.Viewer, func(ctx context.Context, m api.Management) error {
			_, err := m.AuditRecords(ctx, audit.Filter{})
			return err
		}},
		{"checkpoint", auth.Viewer, func(ctx context.Context, m api.Management) error { _, err := m.AuditCheckpoint(ctx); return err }},
		{"verify", auth.Viewer, func(ctx context.Context, m api.Management) error { _, err := m.VerifyAudit(ctx, nil); return err }},
		{"upload", auth.Publisher, func(ctx context.Context, m api.Management) error {
			return m.Upload(ctx, release.ImageDigest, release.ImageSize, bytes.NewReader(image), nil)
		}},
		{"check release", auth.Publisher, func(ctx context.Context, m api.Management) error { return m.CheckRelease(ctx, trust.Bundle{}) }},
		{"add release", auth.Publisher, func(ctx context.Context, m api.Management) error {
			_, err := m.AddRelease(ctx, trust.Bundle{})
			return err
		}},
		{"rotate keyset", auth.Publisher, func(ctx context.Context, m api.Management) error {
			_, err := m.AddKeyset(ctx, trust.Bundle{Keysets: [][]byte{s.Keyset}, Keys: s.Keys})
			return err
		}},
		{"introduce a type", auth.Administrator, func(ctx context.Context, m api.Management) error {
			ks, _, err := trust.ParseKeyset(s.Keyset)
			if err != nil {
				return err
			}
			ks.DeviceType = "another"
			_, err = m.AddKeyset(ctx, trust.Bundle{Keysets: [][]byte{s.SignKeyset(ks, s.Roots...)}, Keys: s.Keys})
			return err
		}},
		{"withdraw", auth.Administrator, func(ctx context.Context, m api.Management) error {
			return m.WithdrawRelease(ctx, release.Identity, "")
		}},
		{"add device", auth.Administrator, func(ctx context.Context, m api.Management) error {
			_, err := m.AddDevice(ctx, fleet.NewDevice{Ref: ref("dev-1")})
			return err
		}},
		{"add code", auth.Administrator, func(ctx context.Context, m api.Management) error {
			_, err := m.AddEnrolmentCode(ctx, fleet.NewCode{DeviceType: otatest.DeviceType})
			return err
		}},
		{"revoke device", auth.Administrator, func(ctx context.Context, m api.Management) error {
			return m.RevokeDevice(ctx, ref("dev-1"), "")
		}},
		{"retry device", auth.Administrator, func(ctx context.Context, m api.Management) error { return m.RetryDevice(ctx, ref("dev-1")) }},
		{"add token", auth.Administrator, func(ctx context.Context, m api.Management) error {
			_, err := m.AddToken(ctx, auth.NewOperator{Name: "admin", Role: auth.Viewer})
			return err
		}},
		{"tokens", auth.Administrator, func(ctx context.Context, m api.Management) error { _, err := m.Tokens(ctx); return err }},
		{"revoke token", auth.Administrator, func(ctx context.Context, m api.Management) error { return m.RevokeToken(ctx, "nobody") }},
	}
	for _, role := range []auth.Role{auth.Viewer, auth.Publisher, auth.Approver, auth.Administrator} {
		token := must(s.Management().AddToken(t.Context(), auth.NewOperator{Name: role.String(), Role: role}))(t)
		m := must(api.NewClient(api.ClientConfig{URL: s.URL, Token: token, Fingerprint: s.Fingerprint}))(t)
		refusals := 0
		for _, c := range calls {
			err := c.call(t.Context(), m)
			if forbidden := errors.Is(err, auth.ErrForbidden); forbidden != (role < c.needed) {
				t.Errorf("%s as %s: %v", c.name, role, err)
			}
			if role < c.needed {
				refusals++
			}
		}
		recorded := must(s.Management().AuditRecords(t.Context(), audit.Filter{Actor: "token:" + role.String(), Action: "refused.forbidden"}))(t)
		if len(recorded) != refusals {
			t.Errorf("%d of %d refusals to a %s are on record", len(recorded), refusals, role)
		}
	}
}

func TestWhoHasNoTokenGetsNowhereAndIsSlowedDown(t *testing.T) {
	s := newSystem(t)
	client := func(token string) *api.Client {
		return must(api.NewClient(api.ClientConfig{URL: s.URL, Token: auth.Token(token), Fingerprint: s.Fingerprint}))(t)
	}
	short := must(s.Management().AddToken(t.Context(), auth.NewOperator{Name: "short", Role: auth.Viewer, Valid: time.Nanosecond}))(t)
	for name, token := range map[string]string{"none": "", "wrong": s.Token + "x", "expired": short.Reveal(), "a device's": s.TokenDevice("dev-1").Token} {
		if _, err := client(token).Info(t.Context()); !errors.Is(err, auth.ErrUnauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var err error
	for range 20 {
		if _, err = client("wrong").Info(t.Context()); errors.Is(err, api.ErrTooMany) {
			break
		}
	}
	if !errors.Is(err, api.ErrTooMany) {
		t.Fatalf("20 wrong tokens: %v", err)
	}
	if _, err := client(s.Token).Info(t.Context()); !errors.Is(err, api.ErrTooMany) {
		t.Errorf("the right one after the wrong ones: %v: a guess was confirmed", err)
	}
}

func TestAViewerCannotFillTheLogWithRefusals(t *testing.T) {
	s := newSystem(t)
	token := must(s.Management().AddToken(t.Context(), auth.NewOperator{Name: "curious", Role: auth.Viewer}))(t)
	m := must(api.NewClient(api.ClientConfig{URL: s.URL, Token: token, Fingerprint: s.Fingerprint}))(t)
	for range 100 {
		if _, err := m.Tokens(t.Context()); !errors.Is(err, auth.ErrForbidden) {
			t.Fatal(err)
		}
	}
	recorded := must(s.Management().AuditRecords(t.Context(), audit.Filter{Actor: "token:curious", Action: "refused.forbidden", Limit: 1000}))(t)
	if len(recorded) < 30 || len(recorded) > 62 {
		t.Errorf("%d records of 100 refusals, want about 60", len(recorded))
	}
}

func TestAnotherServerIsNotSpokenTo(t *testing.T) {
	s, other := newSystem(t), newSystem(t)
	m := must(api.NewClient(api.ClientConfig{URL: s.URL, Token: auth.Token(s.Token), Fingerprint: other.Fingerprint}))(t)
	if _, err := m.Info(t.Context()); !errors.Is(err, api.ErrFingerprint) {
		t.Errorf("another certificate: %v", err)
	}
	for name, cfg := range map[string]api.ClientConfig{
		"http": {URL: s.PlainURL}, "no host": {URL: "https://"}, "password": {URL: "https://a:b@localhost"}, "print": {URL: s.URL, Fingerprint: "00"},
	} {
		if _, err := api.NewClient(cfg); !errors.Is(err, api.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheAPIIsStrict(t *testing.T) {
	s := newSystem(t)
	do := func(method, path, contentType, body string) int {
		t.Helper()
		req := must(http.NewRequest(method, s.URL+path, strings.NewReader(body)))(t)
		req.Header.Set("Authorization", "Bearer "+s.Token)
		req.Header.Set("Content-Type", contentType)
		resp := must(s.HTTPClient().Do(req))(t)
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	device := `{"device_type":"sensor_v1","device":"x","level":"keyed"`
	for _, c := range []struct {
		method, path, contentType, body string
		want                            int
	}{
		{"POST", "/api/v1/devices", "application/json", device + `,"admin":true}`, 400},
		{"POST", "/api/v1/devices", "application/json", device + `,"level":"token"}`, 400},
		{"POST", "/api/v1/devices", "application/json", device + `,"Level":"token"}`, 400},
		{"POST", "/api/v1/devices", "application/json", device + `}{}`, 400},
		{"POST", "/api/v1/devices", "application/json", device + `,"labels":` + strings.Repeat(`{"a":`, 5000), 400},
		{"POST", "/api/v1/devices", "application/json", strings.Repeat(" ", 70_000), 413},
		{"POST", "/api/v1/devices", "text/plain", device + `}`, 415},
		{"POST", "/api/v1/releases", "application/json", "{}", 415},
		{"POST", "/api/v1/releases", "application/cbor", "nonsense", 400},
		{"POST", "/api/v1/releases", "application/cbor", strings.Repeat("x", 300_000), 413},
		{"PATCH", "/api/v1/uploads/" + manifest.Digest{}.String() + "?size=0", "application/octet-stream", "", 400},
		{"PATCH", "/api/v1/uploads/" + manifest.Digest{}.String() + "?size=10", "application/octet-stream", "abc", 400},
		{"GET", "/api/v1/devices?limit=-1", "", "", 400},
		{"GET", "/api/v1/devices?limit=1001", "", "", 400},
		{"GET", "/api/v1/audit?since=yesterday", "", "", 400},
		{"GET", "/api/v1/releases/xyz", "", "", 404},
		{"GET", "/api/v1/nothing", "", "", 404},
		{"PUT", "/api/v1/devices", "", "", 405},
		{"DELETE", "/api/v1/info", "", "", 405},
	} {
		if got := do(c.method, c.path, c.contentType, c.body); got != c.want {
			t.Errorf("%s %s %.60s: status %d, want %d", c.method, c.path, c.body, got, c.want)
		}
	}
}

// pipe is a connection that breaks after some bytes.
type pipe struct {
	net.Listener
	target string
	limit  atomic.Int64
}

func (p *pipe) serve(t *testing.T) {
	for {
		in, err := p.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", p.target)
			if err != nil {
				return
			}
			defer out.Close()
			var once sync.WaitGroup
			once.Go(func() { io.Copy(in, out); in.Close() })
			io.CopyN(out, in, p.limit.Load())
			out.Close()
			once.Wait()
		}()
	}
}

func TestAnUploadGoesOnAfterTheConnectionBroke(t *testing.T) {
	s := newSystem(t)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer listener.Close()
	p := &pipe{Listener: listener, target: strings.TrimPrefix(s.URL, "https://")}
	p.limit.Store(3 << 20)
	go p.serve(t)
	m := must(api.NewClient(api.ClientConfig{URL: "https://" + listener.Addr().String(), Token: auth.Token(s.Token), Fingerprint: s.Fingerprint}))(t)
	image := make([]byte, 10<<20)
	rand.Read(image)
	digest := manifest.Digest(sha256.Sum256(image))
	if err := m.Upload(t.Context(), digest, int64(len(image)), bytes.NewReader(image), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Server.Repository().FinishUpload(t.Context(), digest); err != nil {
		t.Errorf("the image did not arrive whole: %v", err)
	}
}

func TestMemoryDoesNotGrowWithTheImage(t *testing.T) {
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) { c.PlainAddress = "" }})
	const size = 256 << 20
	image := &zeros{size: size}
	h := sha256.New()
	must(io.Copy(h, image))(t)
	must(image.Seek(0, io.SeekStart))(t)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := s.Remote().Upload(t.Context(), manifest.Digest(h.Sum(nil)), size, image, nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 32<<20 {
		t.Errorf("%d MiB of memory for an image of %d MiB", grown>>20, size>>20)
	}
}

// zeros is a large file without content.
type zeros struct{ at, size int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.at >= z.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.size-z.at)
	clear(p[:n])
	z.at += n
	return int(n), nil
}

func (z *zeros) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart {
		return 0, errors.ErrUnsupported
	}
	z.at = offset
	return offset, nil
}

// call asks the API as an administrator and returns the answer and its body.
func call(t *testing.T, s *otatest.System, method, path, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	req := must(http.NewRequest(method, s.URL+path, strings.NewReader(body)))(t)
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	resp := must(s.HTTPClient().Do(req))(t)
	defer resp.Body.Close()
	return resp, string(must(io.ReadAll(resp.Body))(t))
}

func TestAskingWhereAnUploadStandsChangesNothing(t *testing.T) {
	place.OnFiles(t)
	s := newSystem(t)
	path := "/api/v1/uploads/" + manifest.Digest(sha256.Sum256([]byte("0123456789"))).String()
	uploads := filepath.Join(s.Server.Repository().Dir(), "blobs")
	files := func() (names []string) {
		must(0, filepath.WalkDir(uploads, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && d.Name() != "lock" { // what processes hold it by
				names = append(names, name)
			}
			return err
		}))(t)
		return names
	}
	_, body := call(t, s, "GET", path+"?size=10", "", nil)
	if body != `{"offset":0,"complete":false}` || len(files()) != 0 {
		t.Errorf("before: %s, files %q", body, files())
	}
	patch := http.Header{"Content-Type": {"application/octet-stream"}, "Upload-Offset": {"0"}}
	if resp, body := call(t, s, "PATCH", path+"?size=10", "01234", patch); resp.StatusCode != 200 {
		t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	before := files()
	for _, c := range []struct{ size, want string }{
		{"20", `{"offset":5,"complete":false}`}, // with the wrong size of somebody else
		{"3", `{"offset":3,"complete":false}`},
		{"10", `{"offset":5,"complete":false}`},
	} {
		if _, body := call(t, s, "GET", path+"?size="+c.size, "", nil); body != c.want {
			t.Errorf("size %s: %s, want %s", c.size, body, c.want)
		}
	}
	if after := files(); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("files %q, then %q", before, after)
	}
	patch.Set("Upload-Offset", "5")
	if _, body := call(t, s, "PATCH", path+"?size=10", "56789", patch); body != `{"offset":10,"complete":true}` {
		t.Errorf("the rest: %s", body)
	}
	if _, body := call(t, s, "GET", path+"?size=10", "", nil); body != `{"offset":10,"complete":true}` {
		t.Errorf("afterwards: %s", body)
	}
}

func TestAReleaseThatIsRefusedBeforeItsImageTravelsIsOnRecord(t *testing.T) {
	s := newSystem(t)
	bundle := trust.Bundle{Manifest: signed(t, s.Manifest("1.0.0", []byte("image")))}
	if err := s.Remote().CheckRelease(t.Context(), bundle); !errors.Is(err, repository.ErrUnsigned) {
		t.Fatal(err)
	}
	if err := s.Remote().CheckRelease(t.Context(), trust.Bundle{Manifest: signed(t, s.Manifest("1.0.0", []byte("image")), s.Release)}); err != nil {
		t.Fatal(err)
	}
	got := must(s.Management().AuditRecords(t.Context(), audit.Filter{Action: "refused.publish"}))(t)
	if len(got) != 1 || got[0].Actor != "token:admin" {
		t.Errorf("on record: %v", got)
	}
}

func TestALifeTooLongToCountDoesNotBecomeAnotherOne(t *testing.T) {
	s := newSystem(t)
	json := http.Header{"Content-Type": {"application/json"}}
	// 2^55 seconds are 0 nanoseconds in 64 bits, and 0 is for ever.
	body := `{"name":"long","role":"viewer","valid_seconds":36028797018963968}`
	if resp, answer := call(t, s, "POST", "/api/v1/tokens", body, json); resp.StatusCode != 201 {
		t.Fatalf("status %d: %s", resp.StatusCode, answer)
	}
	for _, op := range must(s.Management().Tokens(t.Context()))(t) {
		if op.Name == "long" && op.ExpiresAt.IsZero() {
			t.Error("a token with a life lasts for ever")
		}
	}
	code := `{"device_type":"sensor_v1","valid_seconds":36028797018963969}` // 1 s, wrapped around
	if resp, answer := call(t, s, "POST", "/api/v1/enrolment-codes", code, json); resp.StatusCode != 400 {
		t.Errorf("status %d: %s", resp.StatusCode, answer)
	}
}

func TestAWrongMethodIsToldWhichThereAre(t *testing.T) {
	s := newSystem(t)
	resp, body := call(t, s, "PUT", "/api/v1/devices", "", nil)
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("status %d, Allow %q: %s", resp.StatusCode, resp.Header.Get("Allow"), body)
	}
}
