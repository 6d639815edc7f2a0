package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// An Outcome is what came of an Update.
type Outcome struct {
	Answer   Answer
	Switched bool // a new image is in its slot and boots next, on trial
}

// Update does one round: check, newer keysets, manifest, download, switch, and
// the reports of it. A refusal is reported once, with its reason, and returned.
func (c *Client) Update(ctx context.Context) (Outcome, error) {
	var out Outcome
	// Reports first: the server decides by them, and would offer again what
	// this device has just reverted.
	c.deliver(ctx)
	a, err := c.Check(ctx)
	if err != nil {
		return out, c.fail(ctx, manifest.Digest{}, err)
	}
	out.Answer = a
	keysetErr := c.FetchKeysets(ctx, a.KeysetVersion())
	if keysetErr != nil {
		// The keyset that is held may do for what is offered.
		keysetErr = c.fail(ctx, manifest.Digest{}, keysetErr)
		if !a.Offers() || errors.Is(keysetErr, reason.Storage) {
			return out, keysetErr
		}
	}
	switch c.state.Update.Phase {
	case Idle, Downloading:
	default:
		return out, nil // one thing at a time
	}
	if !a.Offers() {
		return out, c.allWell()
	}
	r, err := c.FetchManifest(ctx, a)
	if err == nil && c.isInstalled(r) {
		if keysetErr != nil {
			return out, keysetErr
		}
		return out, c.allWell()
	}
	if err == nil {
		err = c.InstallFirmware(ctx, r)
	}
	if err != nil {
		return out, c.fail(ctx, a.response.ManifestHash, err)
	}
	out.Switched = true
	return out, nil
}

func (c *Client) isInstalled(r Release) bool {
	have := c.state.Rollback.Installed
	return r.Manifest().Sequence == have.Sequence && r.Manifest().ImageDigest == have.ImageDigest
}

// fail records why an update did not happen, and reports it, but the same thing
// only once: a device that is offered the same wrong release every hour for a
// year does not wear out its flash. It returns err.
func (c *Client) fail(ctx context.Context, target manifest.Digest, err error) error {
	why := trust.ReasonOf(err)
	event := trust.EventRefused
	switch why {
	case reason.Transport, reason.Storage:
		event = trust.EventFailed
		if target.IsZero() {
			return err // a server that cannot be reached cannot be told so
		}
	case reason.NoDeviceKey:
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrBusy) {
		return err
	}
	refusal := Refusal{Event: event, Target: target, Reason: why}
	if slices.Contains(c.state.Refused, refusal) {
		return err
	}
	r, reportErr := c.report(ctx, event, target, why, err.Error())
	if reportErr == nil {
		reportErr = c.change(func(s *State) {
			s.LastError = why
			s.refuse(refusal)
			s.queue(r)
		})
	}
	if reportErr != nil {
		return fmt.Errorf("%w (and it could not be recorded: %v)", err, reportErr)
	}
	c.deliver(ctx)
	return err
}

// allWell forgets the last error.
func (c *Client) allWell() error {
	if c.state.LastError == 0 && len(c.state.Refused) == 0 || c.state.Reverted {
		return nil
	}
	return c.change(func(s *State) { s.LastError, s.Refused = 0, nil })
}
