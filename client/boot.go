package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/agent/bootloader"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// An Image is one to start.
type Image struct {
	Slot  int
	Entry rollback.Entry // what was installed there; zero: nothing, or it is not known
	Trial bool           // it has to be confirmed
}

// ErrNoStage is the refusal to choose the slot where another boot loader does.
var ErrNoStage = errors.New("the boot loader of this device chooses the slot itself")

// ErrNothingToBoot is wrapped by the error of Boot if no slot holds what was
// verified when it was installed.
var ErrNothingToBoot = errors.New("no slot holds a whole image")

// Boot is the boot stage of a device whose firmware this program starts: it
// chooses the slot, counts a try of a trial down before it returns, and compares
// the slot with the digest that was recorded when it was installed. A trial
// image that does not match is rejected. If the active one does not, the device
// returns to the retained image, if the rollback window allows.
func (c *Client) Boot(ctx context.Context) (Image, error) {
	stage, ok := c.loader.(Stage)
	if !ok {
		return Image{}, fmt.Errorf("boot: %w", ErrNoStage)
	}
	// At most: a rejected trial, one that does not match, the active slot, the retained one.
	for range 4 {
		image, err := c.next(ctx, stage)
		if err != nil {
			return Image{}, fmt.Errorf("boot: %w", err)
		}
		if c.RebootNeeded() {
			continue // rejected, and the loader has just been told
		}
		if c.lost != nil || image.Entry.ImageDigest.IsZero() {
			return image, nil
		}
		digest, err := c.digestOf(image.Slot, image.Entry)
		if err != nil && image.Trial {
			// Not a mismatch: it may read well the next time, and if it never does, the tries run out.
			return Image{}, fmt.Errorf("boot: %w", err)
		}
		if err != nil {
			// The active slot has no tries that could run out: one that does not
			// read twice is as good as damaged.
			digest, _ = c.digestOf(image.Slot, image.Entry)
		}
		if digest == image.Entry.ImageDigest {
			return image, nil
		}
		if err := c.replaceDamaged(ctx, image); err != nil {
			return Image{}, fmt.Errorf("boot: slot %s: %w: %w: it hashes to %s", SlotName(image.Slot), ErrNothingToBoot, err, digest)
		}
	}
	return Image{}, fmt.Errorf("boot: %w", ErrNothingToBoot)
}

// next has the loader choose, and brings the state in line with it.
func (c *Client) next(ctx context.Context, stage Stage) (Image, error) {
	n, err := stage.Next(ctx)
	if errors.Is(err, bootloader.ErrNoRecord) {
		// Not even a lost state is a reason not to boot: slot a is as good a guess as any.
		if err := c.loader.Set(ctx, c.state.Active); err != nil {
			return Image{}, storage(err)
		}
		n, err = stage.Next(ctx)
	}
	if err != nil {
		return Image{}, storage(err)
	}
	c.image, c.resumed = nil, false
	if c.lost != nil {
		return Image{Slot: n}, nil
	}
	if err := c.Resume(ctx); err != nil {
		return Image{}, err
	}
	return Image{Slot: n, Entry: c.entryOf(n), Trial: c.state.Update.Phase == Trial}, nil
}

// RebootNeeded reports whether the image that runs was rejected, and only a
// reboot ends it.
func (c *Client) RebootNeeded() bool {
	return c.state.Update.Phase == Rejected
}

func (c *Client) replaceDamaged(ctx context.Context, image Image) error {
	if image.Trial {
		return c.reject(ctx, trust.ErrImageDigest, "the slot does not hold what was verified")
	}
	return c.goBack(ctx, trust.ErrImageDigest, "the active slot does not hold what was installed")
}

// Resume brings the state in line with the boot loader after a reset: the boot
// loader says what was booted, and what was interrupted is finished or taken
// back. The other methods call it; it works once per boot. The table of
// docs/agent-journal.md is this function.
func (c *Client) Resume(ctx context.Context) error {
	if c.resumed {
		return nil
	}
	if c.lost != nil {
		return c.lost
	}
	b, err := c.bootState(ctx)
	if err != nil {
		return err
	}
	if err := c.resume(ctx, b); err != nil {
		return fmt.Errorf("resume after a reset: %w", err)
	}
	c.resumed = true
	return nil
}

func (c *Client) resume(ctx context.Context, b BootState) error {
	u := c.state.Update
	onNew, pending := b.Running == u.Slot, b.Trial == u.Slot
	switch {
	case u.Phase == Idle || u.Phase == Downloading:
		return c.resumeIdle(ctx, b)
	case b.Active == u.Slot && b.Trial == NoSlot:
		// Cut between the boot loader's confirmation and ours.
		return c.finishConfirm(ctx)
	case u.Phase == Rejected:
		return c.resumeRejected(ctx, b)
	case onNew && pending:
		return c.enter(ctx, Trial, trust.EventTrial)
	case pending:
		return c.enter(ctx, Switched, trust.EventInstalled)
	case u.Phase == Ready && u.Return:
		return c.change(func(s *State) { s.Update = Update{} })
	case u.Phase == Ready:
		// Cut before the switch. An answer does not outlive a reset, so the next check has to name it again.
		return c.change(func(s *State) { s.Update.Phase = Downloading })
	case onNew:
		// Somebody told the boot loader to go back; the next boot will.
		return nil
	}
	// It was switched, and the old image runs: the boot loader gave up.
	why := c.reset()
	if why == 0 {
		why = reason.TriesExhausted
	}
	return c.finishRevert(ctx, why, "")
}

// resumeIdle ends a trial that the state knows nothing of.
func (c *Client) resumeIdle(ctx context.Context, b BootState) error {
	if b.Trial == NoSlot && b.Active == c.state.Active {
		return nil
	}
	return storage(c.loader.Set(ctx, c.state.Active))
}

func (c *Client) resumeRejected(ctx context.Context, b BootState) error {
	if b.Trial != NoSlot {
		if err := c.loader.Set(ctx, c.state.Active); err != nil {
			return storage(err)
		}
	}
	if b.Running == c.state.Update.Slot {
		return nil // until the next boot
	}
	return c.finishRevert(ctx, c.state.Update.Reason, c.state.Update.Detail)
}

// enter records that an update reached a phase, and that this is to be reported.
func (c *Client) enter(ctx context.Context, p Phase, event trust.Event) error {
	u := c.state.Update
	if u.Phase == p {
		return nil
	}
	report, err := c.report(ctx, event, u.Entry.ManifestHash, u.Reason, u.Detail)
	if err != nil {
		return err
	}
	return c.change(func(s *State) {
		s.Update.Phase = p
		s.queue(report)
	})
}
