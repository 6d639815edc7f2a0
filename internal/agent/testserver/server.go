// Package testserver is a small, faithful server of docs/spec/device-protocol.md
// in memory, for the tests of the device side. It shares no code with the real
// one, so that a misreading of the specification is not made twice alike.
package testserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// A Server serves one device type.
type Server struct {
	// Hook, if set, may answer a request in the server's place.
	Hook func(w http.ResponseWriter, r *http.Request) (answered bool)
	// Rewrite, if set, may change an answer to a check before it is sealed.
	Rewrite func(*trust.CheckResponse)

	Author *Author

	mu        sync.Mutex
	keysets   map[uint32][]byte
	latest    uint32
	manifests map[manifest.Digest][]byte
	images    map[manifest.Digest][]byte
	offer     manifest.Digest
	retry     bool
	codes     map[string]client.Provisioning
	devices   map[string]*device
	problems  []string
}

type device struct {
	keys    trust.DeviceKeys
	token   string
	used    map[uint64]bool
	highest uint64
	reports []trust.Report
	lastAsk trust.CheckRequest
	lastRaw []byte // last answer to a check
}

// New returns a server of the author's device type, with the author's keyset.
func New(a *Author) *Server {
	s := &Server{
		Author: a, keysets: map[uint32][]byte{}, manifests: map[manifest.Digest][]byte{}, images: map[manifest.Digest][]byte{},
		codes: map[string]client.Provisioning{}, devices: map[string]*device{},
	}
	s.AddKeyset(a.Keyset)
	return s
}

// Clone returns a copy that no longer shares anything that changes.
func (s *Server) Clone() *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Server{
		Hook: s.Hook, Rewrite: s.Rewrite, Author: s.Author, keysets: s.keysets, latest: s.latest, manifests: s.manifests,
		images: s.images, offer: s.offer, retry: s.retry, codes: s.codes, devices: map[string]*device{},
		problems: append([]string{}, s.problems...),
	}
	for id, d := range s.devices {
		twin := *d
		twin.used = map[uint64]bool{}
		for n := range d.used {
			twin.used[n] = true
		}
		twin.reports = append([]trust.Report{}, d.reports...)
		c.devices[id] = &twin
	}
	return c
}

// AddKeyset publishes a signed keyset, which becomes the newest.
func (s *Server) AddKeyset(signed []byte) {
	ks, _, err := trust.ParseKeyset(signed)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keysets[ks.Version] = signed
	s.latest = max(s.latest, ks.Version)
}

// Publish signs an image as a release, after change had its way with the
// manifest, and offers it.
func (s *Server) Publish(seq manifest.Sequence, v string, image []byte, change ...func(*manifest.Manifest)) manifest.Digest {
	parsed, err := version.Parse(v)
	if err != nil {
		panic(err)
	}
	m := manifest.New(s.Author.Vendor, s.Author.DeviceType, seq, parsed)
	if err := m.SetImage(sha256.Sum256(image), int64(len(image))); err != nil {
		panic(err)
	}
	for _, f := range change {
		f(m)
	}
	return s.Offer(s.Author.Sign(m), image)
}

// Offer offers a signed manifest and its image to every device.
func (s *Server) Offer(signed, image []byte) manifest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := manifest.Digest(sha256.Sum256(signed))
	s.manifests[hash], s.images[sha256.Sum256(image)], s.offer = signed, image, hash
	return hash
}

// Withdraw offers nothing.
func (s *Server) Withdraw() { s.mu.Lock(); defer s.mu.Unlock(); s.offer = manifest.Digest{} }

// RetryRejected asks devices to try again what they rejected.
func (s *Server) RetryRejected() { s.mu.Lock(); defer s.mu.Unlock(); s.retry = true }

// AddDevice makes a device with a key and returns its provisioning.
func (s *Server) AddDevice(id string, generation uint32) client.Provisioning {
	keys, err := s.Author.Master.DeviceKeys(trust.DeviceID{Vendor: s.Author.Vendor, DeviceType: s.Author.DeviceType, ID: id}, generation)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[id] = &device{keys: keys, used: map[uint64]bool{}}
	p := s.Author.Provisioning(id)
	p.Generation, p.UpKey, p.DownKey = generation, keys.Up.Hex(), keys.Down.Hex()
	return p
}

// AddTokenDevice makes a device of level 0.
func (s *Server) AddTokenDevice(id, token string) client.Provisioning {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[id] = &device{token: token, used: map[uint64]bool{}}
	p := s.Author.Provisioning(id)
	p.Token = token
	return p
}

// AddCode makes a one-time code that enrols the device of p.
func (s *Server) AddCode(code string, p client.Provisioning) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = p
}

// Reports returns what a device reported, oldest first.
func (s *Server) Reports(id string) []trust.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]trust.Report{}, s.devices[id].reports...)
}

// LastCheck returns what a device asked last.
func (s *Server) LastCheck(id string) trust.CheckRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.devices[id].lastAsk
}

// LastAnswer returns the bytes that answered a device last.
func (s *Server) LastAnswer(id string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.devices[id].lastRaw
}

// Problems returns what devices did that they must never do.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.problems...)
}

// SetHook sets Hook while the server serves.
func (s *Server) SetHook(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Hook = f
}

// HTTP returns a client that calls the server without a network.
func (s *Server) HTTP() *http.Client { return &http.Client{Transport: transport{s}} }

type transport struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	t.ServeHTTP(rec, r)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

// ServeHTTP serves the device protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hook := s.Hook
	s.mu.Unlock()
	if hook != nil && hook(w, r) {
		return
	}
	word, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch r.Method + " " + word {
	case "POST check":
		s.check(w, r)
	case "POST report":
		s.report(w, r)
	case "POST enrol":
		s.enrol(w, r)
	case "GET manifest", "GET firmware":
		s.object(w, r, word, rest)
	case "GET keyset":
		s.keyset(w, rest)
	case "GET key":
		s.key(w, rest)
	default:
		fail(w, http.StatusNotFound, 0)
	}
}

func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Content-Type") == "application/cose" {
		s.checkKeyed(w, raw)
		return
	}
	s.checkJSON(w, r, raw)
}

func (s *Server) checkKeyed(w http.ResponseWriter, raw []byte) {
	req, err := trust.OpenCheckRequest(raw, s.keyOf)
	if err != nil {
		fail(w, http.StatusUnauthorized, trust.ErrBadMAC)
		return
	}
	d := s.devices[req.Device]
	s.use(d, req.Device, req.Nonce)
	d.lastAsk = req
	answer, err := s.answer(req).Seal(d.keys.Down)
	if err != nil {
		panic(err)
	}
	d.lastRaw = answer
	write(w, "application/cose", answer)
}

func (s *Server) answer(req trust.CheckRequest) trust.CheckResponse {
	resp := trust.CheckResponse{
		Device: req.Device, Nonce: req.Nonce, ServerTime: 1_790_000_000, KeysetVersion: s.latest, RetrySeconds: 1, RetryRejected: s.retry,
	}
	if signed, ok := s.manifests[s.offer]; ok {
		m, _, err := trust.ParseManifest(signed)
		if err != nil || m.ImageDigest != req.ImageDigest {
			resp.ManifestHash, resp.ManifestSize = s.offer, uint32(len(signed))
		}
	}
	if s.Rewrite != nil {
		s.Rewrite(&resp)
	}
	return resp
}

func (s *Server) keyOf(_, id string) (trust.DeviceKey, error) {
	d, ok := s.devices[id]
	if !ok {
		return trust.DeviceKey{}, trust.ErrBadMAC
	}
	return d.keys.Up, nil
}

// use notes a nonce. One that comes twice is what no device may ever do.
func (s *Server) use(d *device, id string, nonce uint64) {
	if d.used[nonce] {
		s.problems = append(s.problems, fmt.Sprintf("%s used nonce %d twice", id, nonce))
	}
	d.used[nonce] = true
}

func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	var rep trust.Report
	var err error
	if r.Header.Get("Content-Type") == "application/cose" {
		rep, err = trust.OpenReport(raw, s.keyOf)
	} else {
		rep, err = s.jsonReport(r, raw)
	}
	if err != nil {
		fail(w, http.StatusUnauthorized, trust.ReasonOf(err))
		return
	}
	d := s.devices[rep.Device]
	s.use(d, rep.Device, rep.Nonce)
	if rep.Nonce > d.highest {
		d.highest = rep.Nonce
		d.reports = append(d.reports, rep)
	}
	w.WriteHeader(http.StatusNoContent)
}

// object serves a manifest or an image by its hash.
func (s *Server) object(w http.ResponseWriter, r *http.Request, kind, name string) {
	digest, err := manifest.ParseDigest(name)
	s.mu.Lock()
	raw, ok := s.images[digest]
	if kind == "manifest" {
		raw, ok = s.manifests[digest]
	}
	s.mu.Unlock()
	if err != nil || !ok {
		fail(w, http.StatusNotFound, 0)
		return
	}
	w.Header().Set("ETag", `"`+name+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
}

func (s *Server) keyset(w http.ResponseWriter, rest string) {
	deviceType, name, _ := strings.Cut(rest, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	v := uint64(s.latest)
	if name != "latest" {
		v, _ = strconv.ParseUint(name, 10, 32)
	}
	raw, ok := s.keysets[uint32(v)]
	if !ok || deviceType != s.Author.DeviceType {
		fail(w, http.StatusNotFound, 0)
		return
	}
	write(w, "application/cose", raw)
}

func (s *Server) key(w http.ResponseWriter, name string) {
	id, err := trust.ParseKeyID(name)
	key, ok := s.Author.Ring[id]
	if err != nil || !ok {
		fail(w, http.StatusNotFound, 0)
		return
	}
	write(w, "application/cose-key", key.COSEKey())
}

func write(w http.ResponseWriter, contentType string, raw []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.Write(raw)
}

func fail(w http.ResponseWriter, status int, why trust.Reason) {
	raw, _ := json.Marshal(map[string]any{"error": http.StatusText(status), "reason": why, "request_id": "test"})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	w.Write(raw)
}
