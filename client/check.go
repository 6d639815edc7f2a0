package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// An Answer is the server's answer to this device's question, authenticated as
// far as the level of the device asks for. Only Check makes one.
type Answer struct {
	response trust.CheckResponse
	fresh    bool
}

// Offers reports whether there is something to install.
func (a Answer) Offers() bool { return a.fresh && !a.response.ManifestHash.IsZero() }

// KeysetVersion returns the version of the newest keyset.
func (a Answer) KeysetVersion() uint32 { return a.response.KeysetVersion }

// Retry returns when the server wants to be asked again; 0: it does not say.
func (a Answer) Retry() time.Duration { return time.Duration(a.response.RetrySeconds) * time.Second }

// ServerTime returns the server's clock.
func (a Answer) ServerTime() time.Time { return time.Unix(int64(a.response.ServerTime), 0).UTC() }

// Check asks the server what to install. A device with a key refuses every
// answer that is not MAC'ed for it and for this very question.
func (c *Client) Check(ctx context.Context) (Answer, error) {
	if err := c.Resume(ctx); err != nil {
		return Answer{}, err
	}
	req, err := c.checkRequest(ctx)
	if err != nil {
		return Answer{}, fmt.Errorf("check: %w", err)
	}
	var resp trust.CheckResponse
	if c.id.keyed() {
		resp, err = c.checkKeyed(ctx, req)
	} else {
		resp, err = c.checkJSON(ctx, req)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("check: %w", err)
	}
	return Answer{response: resp, fresh: true}, nil
}

func (c *Client) checkRequest(ctx context.Context) (trust.CheckRequest, error) {
	image, err := c.runningImage(ctx)
	if err != nil {
		return trust.CheckRequest{}, err
	}
	nonce, err := c.nextNonce()
	if err != nil {
		return trust.CheckRequest{}, err
	}
	boot := trust.BootConfirmed
	switch {
	case c.state.Update.Phase == Trial:
		boot = trust.BootTrial
	case c.state.Reverted:
		boot = trust.BootReverted
	}
	return trust.CheckRequest{
		Device: c.id.ID, DeviceType: c.id.DeviceType, Nonce: nonce, Sequence: image.entry.Sequence, ImageDigest: image.digest,
		KeysetVersion: c.keyset.Keyset().Version, Boot: boot, LastError: c.state.LastError, HardwareRevision: c.id.hardware,
	}, nil
}

func (c *Client) checkKeyed(ctx context.Context, req trust.CheckRequest) (trust.CheckResponse, error) {
	raw, err := req.Seal(c.id.keys.Up)
	if err != nil {
		return trust.CheckResponse{}, err
	}
	// One byte more than a message has is enough to see that it is too long.
	answer, contentType, err := c.post(ctx, "/v1/check", raw, trust.MaxMessage, http.StatusOK)
	if err != nil {
		return trust.CheckResponse{}, err
	}
	if contentType != typeCOSE {
		return trust.CheckResponse{}, fmt.Errorf("%w: it is %q", trust.ErrUnauthenticated, printable(contentType))
	}
	return trust.OpenCheckResponse(answer, c.id.keys.Down, req.Device, req.Nonce)
}

// The JSON forms of section 4 of the protocol.
type (
	jsonCheck struct {
		Device           string            `json:"device"`
		DeviceType       string            `json:"device_type"`
		Nonce            uint64            `json:"nonce"`
		Sequence         manifest.Sequence `json:"sequence"`
		ImageDigest      manifest.Digest   `json:"image_digest"`
		KeysetVersion    uint32            `json:"keyset_version"`
		Boot             string            `json:"boot"`
		LastError        trust.Reason      `json:"last_error,omitzero"`
		HardwareRevision string            `json:"hardware_revision,omitzero"`
	}
	jsonAnswer struct {
		Device        string      `json:"device"`
		Nonce         uint64      `json:"nonce"`
		ServerTime    uint64      `json:"server_time"`
		KeysetVersion uint32      `json:"keyset_version"`
		RetrySeconds  uint32      `json:"retry_seconds"`
		Update        *jsonUpdate `json:"update"`
	}
	jsonUpdate struct {
		Manifest      manifest.Digest `json:"manifest"`
		Size          uint32          `json:"size"`
		RetryRejected bool            `json:"retry_rejected"`
	}
)

var bootWords = map[trust.BootState]string{
	trust.BootConfirmed: "confirmed", trust.BootTrial: "trial", trust.BootReverted: "reverted",
}

func (c *Client) checkJSON(ctx context.Context, req trust.CheckRequest) (trust.CheckResponse, error) {
	body, err := json.Marshal(jsonCheck{
		Device: req.Device, DeviceType: req.DeviceType, Nonce: req.Nonce, Sequence: req.Sequence, ImageDigest: req.ImageDigest,
		KeysetVersion: req.KeysetVersion, Boot: bootWords[req.Boot], LastError: req.LastError, HardwareRevision: req.HardwareRevision,
	})
	if err != nil {
		return trust.CheckResponse{}, err
	}
	raw, _, err := c.post(ctx, "/v1/check", body, maxJSONAnswer, http.StatusOK)
	if err != nil {
		return trust.CheckResponse{}, err
	}
	var a jsonAnswer
	if err := json.Unmarshal(raw, &a, json.RejectUnknownMembers(true)); err != nil {
		return trust.CheckResponse{}, fmt.Errorf("%w: %v", trust.ErrMalformed, err)
	}
	switch {
	case a.Device != req.Device:
		return trust.CheckResponse{}, fmt.Errorf("%w: %q", trust.ErrWrongDevice, printable(a.Device))
	case a.Nonce != req.Nonce:
		return trust.CheckResponse{}, fmt.Errorf("%w: nonce %d, asked with %d", trust.ErrWrongNonce, a.Nonce, req.Nonce)
	}
	resp := trust.CheckResponse{
		Device: a.Device, Nonce: a.Nonce, ServerTime: a.ServerTime, KeysetVersion: a.KeysetVersion, RetrySeconds: a.RetrySeconds,
	}
	if a.Update != nil {
		resp.ManifestHash, resp.ManifestSize, resp.RetryRejected = a.Update.Manifest, a.Update.Size, a.Update.RetryRejected
	}
	return resp, nil
}

// maxJSONAnswer is the longest JSON answer, in bytes.
const maxJSONAnswer = 4096
