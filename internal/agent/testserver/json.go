package testserver

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// The messages of section 4 of the protocol.
type message struct {
	Device           string            `json:"device"`
	DeviceType       string            `json:"device_type"`
	Nonce            uint64            `json:"nonce"`
	Sequence         manifest.Sequence `json:"sequence"`
	ImageDigest      manifest.Digest   `json:"image_digest"`
	KeysetVersion    uint32            `json:"keyset_version"`
	Boot             string            `json:"boot"`
	LastError        trust.Reason      `json:"last_error"`
	HardwareRevision string            `json:"hardware_revision"`
	Event            string            `json:"event"`
	Target           *manifest.Digest  `json:"target"`
	Reason           trust.Reason      `json:"reason"`
	Detail           string            `json:"detail"`
}

func (s *Server) jsonMessage(r *http.Request, raw []byte) (message, *device, error) {
	var m message
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return m, nil, trust.ErrMalformed
	}
	d := s.devices[m.Device]
	if d == nil || d.token == "" || r.Header.Get("Authorization") != "Bearer "+d.token {
		return m, nil, trust.ErrBadMAC
	}
	return m, d, nil
}

func (s *Server) checkJSON(w http.ResponseWriter, r *http.Request, raw []byte) {
	m, d, err := s.jsonMessage(r, raw)
	if err != nil {
		fail(w, http.StatusUnauthorized, trust.ReasonOf(err))
		return
	}
	s.use(d, m.Device, m.Nonce)
	d.lastAsk = trust.CheckRequest{
		Device: m.Device, DeviceType: m.DeviceType, Nonce: m.Nonce, Sequence: m.Sequence, ImageDigest: m.ImageDigest,
		KeysetVersion: m.KeysetVersion, LastError: m.LastError, HardwareRevision: m.HardwareRevision,
	}
	a := s.answer(d.lastAsk)
	out := map[string]any{
		"device": a.Device, "nonce": a.Nonce, "server_time": a.ServerTime, "keyset_version": a.KeysetVersion,
		"retry_seconds": a.RetrySeconds, "update": nil,
	}
	if !a.ManifestHash.IsZero() {
		out["update"] = map[string]any{"manifest": a.ManifestHash, "size": a.ManifestSize, "retry_rejected": a.RetryRejected}
	}
	answer, _ := json.Marshal(out)
	d.lastRaw = answer
	write(w, "application/json", answer)
}

func (s *Server) jsonReport(r *http.Request, raw []byte) (trust.Report, error) {
	m, _, err := s.jsonMessage(r, raw)
	if err != nil {
		return trust.Report{}, err
	}
	rep := trust.Report{
		Device: m.Device, DeviceType: m.DeviceType, Nonce: m.Nonce, Sequence: m.Sequence, ImageDigest: m.ImageDigest, Reason: m.Reason, Detail: m.Detail,
	}
	for e := trust.EventDownloading; e <= trust.EventKeyset; e++ {
		if e.String() == m.Event {
			rep.Event = e
		}
	}
	if m.Target != nil {
		rep.Target = *m.Target
	}
	return rep, rep.Validate()
}

func (s *Server) enrol(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var e struct {
		Code             string `json:"code"`
		DeviceType       string `json:"device_type"`
		Device           string `json:"device"`
		HardwareRevision string `json:"hardware_revision"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := json.Unmarshal(raw, &e)
	p, ok := s.codes[e.Code]
	if err != nil || !ok || r.TLS == nil {
		fail(w, http.StatusUnauthorized, 0)
		return
	}
	delete(s.codes, e.Code)
	answer, _ := json.Marshal(map[string]any{
		"vendor": p.Vendor, "device_type": p.DeviceType, "device": p.Device, "generation": p.Generation, "up_key": p.UpKey,
		"down_key": p.DownKey, "keyset": p.Keyset, "keys": p.Keys,
	})
	write(w, "application/json", answer)
}
