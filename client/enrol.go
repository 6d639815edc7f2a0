package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/trust"
)

// An Enrolment asks the server to make this computer a device.
type Enrolment struct {
	Code             string `json:"code"`                 // one-time, from `ota device add --enrol`
	DeviceType       string `json:"device_type,omitzero"` // "": the code names it
	Device           string `json:"device,omitzero"`      // "": the code names it, or the server chooses
	HardwareRevision string `json:"hardware_revision,omitzero"`
}

// ErrUnpinned is the refusal to enrol over a connection that is not known to
// lead to the server: the code and the keys would go to whoever answers.
var ErrUnpinned = errors.New("enrolment needs https and the server's fingerprint or CA")

// Enrol spends a code and returns what Provision needs.
func Enrol(ctx context.Context, s Server, e Enrolment) (Provisioning, error) {
	if !s.secure() || s.Fingerprint == "" && len(s.CA) == 0 {
		return Provisioning{}, fmt.Errorf("enrol at %s: %w", s.URL, ErrUnpinned)
	}
	hc, err := s.HTTPClient()
	if err != nil {
		return Provisioning{}, fmt.Errorf("enrol: %w", err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return Provisioning{}, fmt.Errorf("enrol: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	c := &Client{server: s, ops: &Local{HTTP: hc}}
	req, err := c.request(ctx, http.MethodPost, "/v1/enrol", body)
	if err != nil {
		return Provisioning{}, fmt.Errorf("enrol: %w", err)
	}
	req.Header.Set("Content-Type", typeJSON)
	raw, _, err := c.exchange(req, MaxProvisioning, http.StatusOK)
	if statusOf(err) == http.StatusUnauthorized {
		return Provisioning{}, fmt.Errorf("enrol: %w: the code is wrong, spent or expired (`ota device add --enrol` makes another)", err)
	}
	if err != nil {
		return Provisioning{}, fmt.Errorf("enrol: %w", err)
	}
	p, err := ParseProvisioning(raw)
	if err != nil {
		return Provisioning{}, fmt.Errorf("enrol: the server's answer: %w", err)
	}
	if e.DeviceType != "" && p.DeviceType != e.DeviceType || e.Device != "" && p.Device != e.Device {
		return Provisioning{}, fmt.Errorf("enrol: %w: the server made %s of type %s", trust.ErrWrongDevice, p.Device, p.DeviceType)
	}
	if p.HardwareRevision == "" {
		p.HardwareRevision = e.HardwareRevision
	}
	return p, nil
}
