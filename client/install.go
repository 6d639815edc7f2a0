package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrBusy is wrapped by the refusal to begin while an update waits for its boot
// or is on trial.
var ErrBusy = errors.New("an update is under way: boot it, then confirm or reject it")

// maxBreaks is how often a download that made progress is taken up again at
// once. After that it waits for the next check.
const maxBreaks = 5

// InstallFirmware downloads a release into the inactive slot, reads the slot
// back, and has the boot loader start it on trial at the next boot. Everything
// that could be refused is refused before a byte is written.
func (c *Client) InstallFirmware(ctx context.Context, r Release) error {
	if r.manifest.IsZero() {
		return fmt.Errorf("install: %w: the server named no release", trust.ErrNotNamed)
	}
	if err := c.Resume(ctx); err != nil {
		return err
	}
	if p := c.state.Update.Phase; p != Idle && p != Downloading {
		return fmt.Errorf("install %s: %w", r.Manifest().Version, ErrBusy)
	}
	n := 1 - c.state.Active
	capacity, err := c.capacity(n)
	if err != nil {
		return err
	}
	if err := c.allowed(r, capacity); err != nil {
		return err
	}
	if err := c.fill(ctx, n, r); err != nil {
		return fmt.Errorf("install %s: %w", r.Manifest().Version, err)
	}
	if err := c.switchOver(ctx); err != nil {
		return err
	}
	c.deliver(ctx)
	return nil
}

// capacity returns the size of slot n, 0 if it is not known yet.
func (c *Client) capacity(n int) (int64, error) {
	s, err := c.ops.OpenSlot(n, false)
	if missing(err) {
		return 0, nil
	}
	if err != nil {
		return 0, storage(err)
	}
	return s.Capacity(), storage(s.Close())
}

// fill brings the image of r into slot n, whole and read back: phase Ready.
func (c *Client) fill(ctx context.Context, n int, r Release) error {
	if err := c.begin(ctx, n, r); err != nil {
		return err
	}
	s, err := c.ops.OpenSlot(n, true)
	if err != nil {
		return storage(err)
	}
	defer s.Close()
	if size := int64(r.Manifest().ImageSize); s.Capacity() > 0 && size > s.Capacity() {
		return fmt.Errorf("%w: %d bytes, the slot holds %d", trust.ErrImageSize, size, s.Capacity())
	}
	if err := c.downloadResuming(ctx, s, r); err != nil {
		return err
	}
	return c.readBack(s)
}

// begin records that the inactive slot no longer holds what it held, before the
// first byte of it is overwritten.
func (c *Client) begin(ctx context.Context, n int, r Release) error {
	next := Update{Phase: Downloading, Slot: n, Entry: rollback.EntryOf(r.Manifest(), r.Hash())}
	old := c.state.Update
	switch {
	case old.Phase == Downloading && old.Entry.ImageDigest == next.Entry.ImageDigest:
		next.Written = old.Written
	case c.state.Retained.ImageDigest == next.Entry.ImageDigest:
		next.Written = int64(next.Entry.ImageSize)
	}
	if next == old {
		return nil
	}
	report, err := c.report(ctx, trust.EventDownloading, next.Entry.ManifestHash, 0, "")
	if err != nil {
		return err
	}
	err = c.change(func(s *State) {
		s.Retained, s.Update = rollback.Entry{}, next
		if old.Entry.ManifestHash != next.Entry.ManifestHash {
			s.queue(report)
		}
	})
	if err != nil {
		return err
	}
	c.deliver(ctx)
	return nil
}

// downloadResuming takes a download up again at once as long as it gets ahead.
func (c *Client) downloadResuming(ctx context.Context, s Slot, r Release) error {
	mark := func(done int64) error { return c.change(func(s *State) { s.Update.Written = done }) }
	for breaks := 0; ; breaks++ {
		before := c.state.Update.Written
		err := c.Download(ctx, r, s, before, mark)
		if !isTransport(err) || statusOf(err) != 0 || c.state.Update.Written <= before || breaks == maxBreaks {
			return c.forgetIfWrong(err)
		}
	}
}

// forgetIfWrong forgets what was downloaded of an image that is not the signed
// one. The release is not rejected for it: whoever can change a byte on the way
// could otherwise keep a good release from ever being installed.
func (c *Client) forgetIfWrong(err error) error {
	if errors.Is(err, trust.ErrImageDigest) && c.state.Update.Written != 0 {
		return errors.Join(err, c.change(func(s *State) { s.Update.Written = 0 }))
	}
	return err
}

// readBack seals the slot and reads it again, from the medium, before anything
// may boot it.
func (c *Client) readBack(s Slot) error {
	want := c.state.Update.Entry
	if err := s.Seal(int64(want.ImageSize)); err != nil {
		return storage(err)
	}
	got, err := hashSlot(s, int64(want.ImageSize))
	if err != nil {
		return storage(err)
	}
	if got != want.ImageDigest {
		return c.forgetIfWrong(fmt.Errorf("slot read back: %w: it hashes to %s", trust.ErrImageDigest, got))
	}
	return c.change(func(s *State) { s.Update.Phase, s.Update.Written = Ready, int64(want.ImageSize) })
}

// switchOver tells the boot loader to start the Ready slot on trial, and then
// records that. In between, the boot loader is right.
func (c *Client) switchOver(ctx context.Context) error {
	if err := c.loader.Try(ctx, c.state.Update.Slot); err != nil {
		return fmt.Errorf("switch to slot %s: %w", SlotName(c.state.Update.Slot), storage(err))
	}
	return c.enter(ctx, Switched, trust.EventInstalled)
}

// VerifyFirmwareIntegrity reads an image to its end and says whether it is the
// one that the manifest signs: size and SHA-256.
func (c *Client) VerifyFirmwareIntegrity(image io.Reader, m trust.VerifiedManifest) error {
	if m.IsZero() {
		return fmt.Errorf("verify image: %w: there is no verified manifest", trust.ErrNotEnoughSigners)
	}
	want := m.Manifest()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(image, int64(want.ImageSize)+1))
	if err != nil {
		return fmt.Errorf("verify image: %w", err)
	}
	if n != int64(want.ImageSize) || manifest.Digest(h.Sum(nil)) != want.ImageDigest {
		return fmt.Errorf("verify image: %w of %s", trust.ErrImageDigest, want.Version)
	}
	return nil
}

// hashSlot hashes the first size bytes of a slot.
func hashSlot(s Slot, size int64) (manifest.Digest, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(s, 0, size), make([]byte, defaultBlock))
	if err != nil {
		return manifest.Digest{}, fmt.Errorf("read slot: %w", err)
	}
	if n != size {
		return manifest.Digest{}, fmt.Errorf("slot of %d bytes: %w: want %d", n, trust.ErrImageDigest, size)
	}
	return manifest.Digest(h.Sum(nil)), nil
}
