package demo

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// A middle is the attacker of the demo: it stands on the wire between the
// device and the server, passes everything on, and attacks when it is told to.
// It plays both the man in the middle and, with the device's keys, a stolen
// server.
type middle struct {
	upstream string // base URL of the server's plain listener
	keys     trust.DeviceKeys

	mu     sync.Mutex
	attack attack
	heard  []byte // the last genuine check response that offered something
}

// An attack answers one request in the server's place. It returns false to
// let the request pass.
type attack func(w http.ResponseWriter, r *http.Request, body []byte) bool

// maxPassed bounds what the attacker holds of one message, in bytes.
const maxPassed = 64 << 20

// set starts an attack; nil ends it.
func (m *middle) set(a attack) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attack = a
}

func (m *middle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPassed))
	if err != nil {
		return
	}
	m.mu.Lock()
	attack := m.attack
	m.mu.Unlock()
	if attack != nil && attack(w, r, body) {
		return
	}
	status, header, answer, err := m.pass(r, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	m.overhear(r, answer)
	write(w, status, header, answer)
}

// pass sends the request on to the server.
func (m *middle) pass(r *http.Request, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, m.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxPassed))
	return resp.StatusCode, resp.Header, answer, err
}

func write(w http.ResponseWriter, status int, header http.Header, body []byte) {
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	w.Write(body)
}

// overhear keeps a genuine offer, to be replayed later.
func (m *middle) overhear(r *http.Request, answer []byte) {
	if r.URL.Path != checkPath {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(answer) > len(m.heard) {
		m.heard = answer // an offer is longer than "nothing new"
	}
}

const (
	checkPath    = "/v1/check"
	firmwarePath = "/v1/firmware/"
	coseType     = "application/cose"
)

// tamper flips one bit in the middle of every image that passes.
func (m *middle) tamper(w http.ResponseWriter, r *http.Request, body []byte) bool {
	if !strings.HasPrefix(r.URL.Path, firmwarePath) {
		return false
	}
	status, header, image, err := m.pass(r, body)
	if err != nil || len(image) == 0 {
		return false
	}
	image[len(image)/2] ^= 1
	write(w, status, header, image)
	return true
}

// block lets nothing through that could start an update: checks go unanswered.
func (m *middle) block(w http.ResponseWriter, r *http.Request, _ []byte) bool {
	if r.URL.Path != checkPath {
		return false
	}
	http.Error(w, "blocked", http.StatusServiceUnavailable)
	return true
}

// replay answers each check with the offer that was overheard earlier.
func (m *middle) replay(w http.ResponseWriter, r *http.Request, _ []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.URL.Path != checkPath || m.heard == nil {
		return false
	}
	writeCOSE(w, m.heard)
	return true
}

// offer is a stolen server: it has the device's keys and answers the device's
// own question, properly MAC'ed, with a genuine manifest of its choice.
func (m *middle) offer(hash manifest.Digest, size int) attack {
	return func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if r.URL.Path != checkPath {
			return false
		}
		up := func(_, _ string) (trust.DeviceKey, error) { return m.keys.Up, nil }
		req, err := trust.OpenCheckRequest(body, up)
		if err != nil {
			return false
		}
		sealed, err := trust.CheckResponse{
			Device: req.Device, Nonce: req.Nonce, ServerTime: uint64(time.Now().Unix()), KeysetVersion: req.KeysetVersion,
			RetrySeconds: 1, ManifestHash: hash, ManifestSize: uint32(size),
		}.Seal(m.keys.Down)
		if err != nil {
			return false
		}
		writeCOSE(w, sealed)
		return true
	}
}

func writeCOSE(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", coseType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// fetchManifest reads a genuine manifest's size from the server, as any client
// may.
func (m *middle) fetchManifest(hash manifest.Digest) (int, error) {
	resp, err := http.Get(m.upstream + "/v1/manifest/" + hash.String())
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, trust.MaxManifest+1))
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("fetch manifest %s: %s %v", hash, resp.Status, err)
	}
	return len(raw), nil
}
