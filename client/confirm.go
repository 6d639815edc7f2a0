package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrNoTrial is wrapped by the refusal to confirm or reject when there is
// nothing to decide.
var ErrNoTrial = errors.New("no image is on trial")

// ConfirmFirmware ends the trial of the running image: it has proved itself and
// is what boots from now on. Only now the security floor rises.
func (c *Client) ConfirmFirmware(ctx context.Context) error {
	if err := c.Resume(ctx); err != nil {
		return err
	}
	if c.state.Update.Phase != Trial {
		return fmt.Errorf("confirm: %w", ErrNoTrial)
	}
	// The boot loader first: the other way round, a cut in between would let it
	// fall back to an image below the floor.
	if err := c.loader.Set(ctx, c.state.Update.Slot); err != nil {
		return fmt.Errorf("confirm: %w", storage(err))
	}
	if err := c.finishConfirm(ctx); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	c.deliver(ctx)
	return nil
}

func (c *Client) finishConfirm(ctx context.Context) error {
	u, left := c.state.Update, c.state.Rollback.Installed
	event := trust.EventConfirmed
	if u.Return {
		event = trust.EventReverted
	}
	report, err := c.report(ctx, event, u.Entry.ManifestHash, u.Reason, u.Detail)
	if err != nil {
		return err
	}
	now := c.ops.Now()
	if now.IsZero() {
		now = time.Unix(0, 0) // confirmed, though nobody knows when
	}
	err = c.change(func(s *State) {
		s.Active, s.Update, s.Retained = u.Slot, Update{}, rollback.Entry{}
		s.Reverted, s.LastError, s.Refused = false, 0, nil
		if u.Return {
			s.Rollback.RecordReturn(u.Entry)
			if u.Reason == reason.OperatorRequested {
				s.Rollback.Reject(left.ImageDigest) // or the next check would bring it back at once
			}
		} else {
			s.Rollback.RecordVersionUpdate(u.Entry, now)
			s.Retained = left
		}
		if extra := len(s.Rollback.History) - maxHistory; extra > 0 {
			s.Rollback.History = s.Rollback.History[extra:]
		}
		s.queue(report)
	})
	if err == nil {
		c.image = nil
	}
	return err
}

// RejectFirmware ends an update that was switched or is on trial: the active
// slot boots next, and the image is not tried again unless an authenticated
// answer asks for it. If the image runs already, the caller has to reboot.
func (c *Client) RejectFirmware(ctx context.Context, why trust.Reason, detail string) error {
	if err := c.reject(ctx, why, detail); err != nil {
		return err
	}
	c.deliver(ctx)
	return nil
}

func (c *Client) reject(ctx context.Context, why trust.Reason, detail string) error {
	if err := c.Resume(ctx); err != nil {
		return err
	}
	switch c.state.Update.Phase {
	case Ready, Switched, Trial:
	default:
		return fmt.Errorf("reject: %w", ErrNoTrial)
	}
	detail = printable(detail) // of a program that failed: it may say anything, and at any length
	// The state first, so that the reason is not lost; Resume finishes the rest.
	err := c.change(func(s *State) { s.Update.Phase, s.Update.Reason, s.Update.Detail = Rejected, why, detail })
	if err != nil {
		return fmt.Errorf("reject: %w", err)
	}
	c.resumed = false
	if err := c.Resume(ctx); err != nil {
		return fmt.Errorf("reject: %w", err)
	}
	return nil
}

// finishRevert records that the image before the update runs again.
func (c *Client) finishRevert(ctx context.Context, why trust.Reason, detail string) error {
	u := c.state.Update
	event := trust.EventReverted
	if u.Return {
		event = trust.EventFailed
	}
	c.image = nil
	report, err := c.report(ctx, event, u.Entry.ManifestHash, why, detail)
	if err != nil {
		return err
	}
	return c.change(func(s *State) {
		s.Update, s.Retained = Update{}, rollback.Entry{}
		s.Reverted, s.LastError = true, why
		s.Rollback.Reject(u.Entry.ImageDigest)
		s.queue(report)
	})
}

// RollbackFirmware has the retained image booted next, on trial: the one that
// was confirmed before the installed one, if it is within the rollback window
// that the installed manifest signs, not below the floor, and still whole. The
// image it leaves is not installed again by itself.
func (c *Client) RollbackFirmware(ctx context.Context) error {
	if err := c.Resume(ctx); err != nil {
		return err
	}
	if err := c.goBack(ctx, reason.OperatorRequested, ""); err != nil {
		return err
	}
	c.deliver(ctx)
	return nil
}

func (c *Client) goBack(ctx context.Context, why trust.Reason, detail string) error {
	if p := c.state.Update.Phase; p != Idle && p != Downloading {
		return fmt.Errorf("roll back: %w", ErrBusy)
	}
	to, n := c.state.Retained, 1-c.state.Active
	if err := c.state.Rollback.CheckReturn(to, c.keyset.Keyset().SecurityFloor); err != nil {
		return err
	}
	digest, err := c.digestOf(n, to)
	if err != nil {
		return fmt.Errorf("roll back to %s: %w", to.Version, err)
	}
	if digest != to.ImageDigest {
		return fmt.Errorf("roll back to %s: %w: slot %s hashes to %s", to.Version, trust.ErrImageDigest, SlotName(n), digest)
	}
	err = c.change(func(s *State) {
		s.Update = Update{Phase: Ready, Slot: n, Entry: to, Return: true, Written: int64(to.ImageSize), Reason: why, Detail: detail}
	})
	if err != nil {
		return err
	}
	return c.switchOver(ctx)
}
