package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// report makes a report about what runs now.
func (c *Client) report(ctx context.Context, event trust.Event, target manifest.Digest, why trust.Reason, detail string) (QueuedReport, error) {
	image, err := c.runningImage(ctx)
	if err != nil {
		return QueuedReport{}, err
	}
	return QueuedReport{
		Event: event, Sequence: image.entry.Sequence, ImageDigest: image.digest, Target: target, Reason: why, Detail: printable(detail),
	}, nil
}

// note queues a report with what runs now, and tries to deliver it.
func (c *Client) note(ctx context.Context, r QueuedReport) error {
	r, err := c.report(ctx, r.Event, r.Target, r.Reason, r.Detail)
	if err != nil {
		return err
	}
	if err := c.change(func(s *State) { s.queue(r) }); err != nil {
		return err
	}
	c.deliver(ctx)
	return nil
}

// DeliverReports sends the reports that wait, oldest first. What cannot be sent
// now waits on; the updates of the device do not depend on it.
func (c *Client) DeliverReports(ctx context.Context) error {
	if c.lost != nil {
		return c.lost
	}
	sent := 0
	var failure error
	for _, r := range c.state.Reports {
		if failure = c.Report(ctx, r); failure != nil && !undeliverable(failure) {
			break
		}
		failure = nil
		sent++
	}
	if sent == 0 {
		return failure
	}
	// Cut before this is stored, they are sent again, under new nonces.
	return errors.Join(failure, c.change(func(s *State) { s.Reports = s.Reports[sent:] }))
}

// deliver is DeliverReports where a failure changes nothing.
// It is bounded as a whole: a server that dawdles must not keep a device from
// judging a trial.
func (c *Client) deliver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	_ = c.DeliverReports(ctx)
}

// undeliverable tells a report that the server will never take from one that it
// does not take now. Refused credentials are no such thing: the device may be
// provisioned again.
func undeliverable(err error) bool {
	switch statusOf(err) {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}

// Report sends one report, under a new nonce.
func (c *Client) Report(ctx context.Context, q QueuedReport) error {
	nonce, err := c.nextNonce()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	r := trust.Report{
		Device: c.id.ID, DeviceType: c.id.DeviceType, Nonce: nonce, Event: q.Event, Sequence: q.Sequence, ImageDigest: q.ImageDigest,
		Target: q.Target, Reason: q.Reason, Detail: q.Detail,
	}
	var body []byte
	if c.id.keyed() {
		body, err = r.Seal(c.id.keys.Up)
	} else {
		body, err = json.Marshal(jsonReport{
			Device: r.Device, DeviceType: r.DeviceType, Nonce: r.Nonce, Event: r.Event.String(), Sequence: r.Sequence,
			ImageDigest: r.ImageDigest, Target: r.Target, Reason: r.Reason, Detail: r.Detail,
		})
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, _, err := c.post(ctx, "/v1/report", body, 0, http.StatusNoContent); err != nil {
		return fmt.Errorf("report %s: %w", q.Event, err)
	}
	return nil
}

// jsonReport is the form of a report of section 4 of the protocol.
type jsonReport struct {
	Device      string            `json:"device"`
	DeviceType  string            `json:"device_type"`
	Nonce       uint64            `json:"nonce"`
	Event       string            `json:"event"`
	Sequence    manifest.Sequence `json:"sequence"`
	ImageDigest manifest.Digest   `json:"image_digest"`
	Target      manifest.Digest   `json:"target,omitzero"`
	Reason      trust.Reason      `json:"reason,omitzero"`
	Detail      string            `json:"detail,omitzero"`
}
