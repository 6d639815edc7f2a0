package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/trust"
)

// A Sender is where one message came from. A protocol opens the message with
// UpKey and hands what was in it to Check or Report of the same Sender, which
// take it only if the keys are still those of the device when its effect is
// committed. Otherwise a message under a thief's keys, on its way while the
// device is enrolled again, could set the new counter as high as he likes and
// silence the device for ever.
type Sender struct {
	fleet   *Fleet
	address string
	opened  bool   // UpKey gave the key of device; false: the caller vouches for it
	device  Device // as it was then
	keys    trust.DeviceKeys
	shared  bool // a change has it, which may be made after whoever asked is gone
}

// senders are for the messages to come: one is half of the garbage of a check.
var senders = sync.Pool{New: func() any { return new(Sender) }}

// Sender returns the sender of one message from an address (host:port; empty:
// this process).
func (f *Fleet) Sender(address string) *Sender {
	s := senders.Get().(*Sender)
	s.fleet, s.address = f, address
	return s
}

// Done gives the sender back, which whoever had it uses no more. It need not be
// called.
func (s *Sender) Done() {
	if s.shared {
		return
	}
	*s = Sender{}
	senders.Put(s)
}

// UpKey returns the key that authenticates messages of a device; it is a
// trust.KeyOf. For a device that does not exist or has no key it is a key that
// nobody has, so that both fail in the same way, after the same work.
func (s *Sender) UpKey(deviceType, device string) (trust.DeviceKey, error) {
	ok, err := s.fleet.findInto(&s.device, Ref{deviceType, device})
	if err != nil {
		return trust.DeviceKey{}, err
	}
	if !ok || s.device.Level != Keyed {
		return s.fleet.stranger, nil
	}
	s.keys, err = s.fleet.derive(&s.device)
	s.opened = err == nil
	return s.keys.Up, err
}

// DownKey returns the key that authenticates the answer: of the generation
// under which the message was authentic.
func (s *Sender) DownKey() (trust.DeviceKey, error) {
	if !s.opened {
		return trust.DeviceKey{}, fmt.Errorf("key for an answer: %w", ErrUnauthenticated)
	}
	return s.keys.Down, nil
}

// Invalid returns what to make of a message that could not be opened. If its
// MAC held, the device itself sends what nobody can read: that is put on
// record, and the error wraps ErrRecorded, for it is no stranger's refusal to
// be counted.
func (s *Sender) Invalid(ctx context.Context, cause error) error {
	// Once the key was found, a wrong MAC is the first thing that can be wrong.
	if !s.opened || errors.Is(cause, reason.BadMAC) {
		return cause
	}
	ref := s.device.Ref
	d, err := s.admit(ctx, ref, func(*Device) bool { return true })
	if err != nil {
		return fmt.Errorf("message of device %s: %w", ref, err)
	}
	s.complain(ctx, d, "device.refused.invalid", map[string]any{"reason": reason.Of(cause), "error": cause.Error()})
	return fmt.Errorf("message of device %s: %w: %w", ref, ErrRecorded, cause)
}

func (s *Sender) actor(ref Ref) auth.Actor { return auth.Actor{Name: actorOf(ref), Address: s.address} }

// admit finds a device whose message was authentic, as it is now, and takes a
// message that is new from its rate. A recording takes nothing: whoever sends
// it again and again would leave the device no rate of its own.
func (s *Sender) admit(ctx context.Context, ref Ref, isNew func(*Device) bool) (*Device, error) {
	d, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	if d.Revoked {
		s.complain(ctx, d, "device.refused.revoked", nil)
		return nil, ErrUnauthenticated
	}
	if isNew(d) {
		if wait := s.fleet.table.take(d.number, s.fleet.cfg.Now()); wait > 0 {
			return nil, &RateError{wait}
		}
	}
	return d, nil
}

// find returns the device as it is now, if its keys are those that UpKey gave.
func (s *Sender) find(ref Ref) (*Device, error) {
	if s.opened && s.device.Ref == ref && s.fleet.table.isAt(s.device.number, s.device.revision) {
		return &s.device, nil
	}
	d, ok, err := s.fleet.find(ref)
	switch {
	case err != nil:
		return nil, err
	case !ok, s.opened && s.device.Generation != d.Generation:
		return nil, ErrUnauthenticated
	}
	return d, nil
}

// stillIs reports whether a device may still speak as it did when it was
// admitted.
func (d *Device) stillIs(admitted *Device) bool {
	return !d.Revoked && d.Generation == admitted.Generation
}

// complain records what a device with its right key is refused: once a minute,
// for it could go on for ever.
func (s *Sender) complain(ctx context.Context, d *Device, action string, after any) {
	if !s.fleet.complaints.due(d.number, s.fleet.cfg.Now()) {
		return
	}
	s.shared = true
	err := s.fleet.db.ChangeUnaudited(ctx, func(tx *store.Tx) error {
		entry := s.actor(d.Ref).Entry(action, "device:"+d.Ref.String())
		if after != nil {
			entry.After = audit.JSON(after)
		}
		return tx.Record(entry)
	})
	if err != nil {
		s.fleet.cfg.Log.Error("fleet: refusal of a device not recorded", "device", d.Ref, "action", action, "error", err)
	}
}
