package client

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/agent/journal"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// stateFormat is the format version of the stored state.
const stateFormat = 1

// Bounds of the state. The oldest is forgotten first.
const (
	maxQueued  = 32 // reports
	maxRefused = 8  // refusals that are remembered: one round may end in two
	maxHistory = 32 // releases: the state is written whole at every change
)

// A Phase says how far an update has come.
type Phase string

// The phases. docs/agent-journal.md says what each leaves on disk and what the
// next boot makes of it.
const (
	Idle        Phase = ""            // no update
	Downloading Phase = "downloading" // the inactive slot is being written, and holds nothing that counts
	Ready       Phase = "ready"       // it was read back and is whole
	Switched    Phase = "switched"    // the boot loader starts it next, on trial
	Trial       Phase = "trial"       // it runs on trial
	Rejected    Phase = "rejected"    // its trial failed, the active slot has yet to be booted
)

// An Update is one on its way.
type Update struct {
	Phase   Phase          `json:"phase"`
	Slot    int            `json:"slot"`    // it goes to
	Entry   rollback.Entry `json:"entry"`   // of the verified manifest
	Return  bool           `json:"return"`  // to the retained image, and not to a new one
	Written int64          `json:"written"` // bytes that are in the slot, synced
	Reason  trust.Reason   `json:"reason"`  // of a return or a rejection
	Detail  string         `json:"detail"`
}

// A QueuedReport waits to be delivered. It gets its nonce when it is sent.
type QueuedReport struct {
	Event       trust.Event       `json:"event"`
	Sequence    manifest.Sequence `json:"sequence"`
	ImageDigest manifest.Digest   `json:"image_digest"` // of the running image
	Target      manifest.Digest   `json:"target"`       // hash of the manifest concerned
	Reason      trust.Reason      `json:"reason"`
	Detail      string            `json:"detail"`
}

// A Refusal is what tells one from another.
type Refusal struct {
	Event  trust.Event     `json:"event"`
	Target manifest.Digest `json:"target"` // hash of the manifest; zero: it was another thing
	Reason trust.Reason    `json:"reason"`
}

// A State is all that a device remembers, but for its secret and its keyset.
// It is stored as a whole.
type State struct {
	Format     int            `json:"format"`
	Generation uint32         `json:"generation"` // of the device key that Nonce counts under
	Nonce      uint64         `json:"nonce"`      // highest nonce that may have been used
	Active     int            `json:"active"`     // slot of the confirmed image
	Rollback   rollback.State `json:"rollback"`   // installed release, floor, history, rejected images
	Retained   rollback.Entry `json:"retained,omitzero"`
	Update     Update         `json:"update,omitzero"`
	Reverted   bool           `json:"reverted"`   // the last trial failed
	LastError  trust.Reason   `json:"last_error"` // told to the server
	Refused    []Refusal      `json:"refused"`    // the last refusals, so that each is reported once
	Reports    []QueuedReport `json:"reports"`    // to be delivered, oldest first
}

// ErrStateLost is wrapped by every refusal to talk to the server on a device
// whose state is gone or damaged: without its counter a nonce could be used
// twice. It is reason 28, and is repaired by provisioning a new key generation.
var ErrStateLost = fmt.Errorf("the device's state is lost, provision it again with a newer key generation: %w", trust.ErrNoDeviceKey)

func newState() State { return State{Format: stateFormat} }

// loadState reads the state. One that is missing or damaged is ErrStateLost; a
// storage that cannot be read is not.
func (c *Client) loadState() (State, error) {
	raw, err := c.journal.Load()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, journal.ErrDamaged) {
		return State{}, fmt.Errorf("%w: %v", ErrStateLost, err)
	}
	if err != nil {
		return State{}, fmt.Errorf("read state: %w", storage(err))
	}
	s, err := decodeState(raw)
	if err != nil {
		return State{}, fmt.Errorf("%w: %v", ErrStateLost, err)
	}
	return s, nil
}

// decodeState strictly decodes a state and checks its bounds.
func decodeState(raw []byte) (State, error) {
	var s State
	if err := json.Unmarshal(raw, &s, json.RejectUnknownMembers(true)); err != nil {
		return State{}, fmt.Errorf("decode state: %w", err)
	}
	switch {
	case s.Format != stateFormat:
		return State{}, fmt.Errorf("decode state: %w: format %d, this program knows %d", trust.ErrUnsupported, s.Format, stateFormat)
	case s.Active != 0 && s.Active != 1:
		return State{}, fmt.Errorf("decode state: active slot %d", s.Active)
	}
	switch u := s.Update; u.Phase {
	case Idle:
		if u != (Update{}) {
			return State{}, errors.New("decode state: an update without a phase")
		}
	case Downloading, Ready, Switched, Trial, Rejected:
		if u.Slot != 1-s.Active || u.Written < 0 || u.Written > int64(u.Entry.ImageSize) || u.Entry.ImageDigest.IsZero() {
			return State{}, fmt.Errorf("decode state: update into slot %d, %d of %d bytes", u.Slot, u.Written, u.Entry.ImageSize)
		}
	default:
		return State{}, fmt.Errorf("decode state: phase %q", u.Phase)
	}
	return s, nil
}

func (c *Client) save(s State) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("store state: %w", err)
	}
	if err := c.journal.Save(raw); err != nil {
		return fmt.Errorf("store state: %w", storage(err))
	}
	return nil
}

// change stores a changed state. If that fails nothing changed here, and after
// a power cut the old state or the new one is found: every change is one that
// can be made again.
func (c *Client) change(f func(*State)) error {
	next := c.state.clone()
	f(&next)
	if err := c.save(next); err != nil {
		return err
	}
	c.state = next
	return nil
}

// clone copies so deeply that neither copy sees the other change.
func (s State) clone() State {
	s.Rollback.History = slices.Clone(s.Rollback.History)
	s.Rollback.Rejected = slices.Clone(s.Rollback.Rejected)
	s.Rollback.Permits = slices.Clone(s.Rollback.Permits)
	s.Refused = slices.Clone(s.Refused)
	s.Reports = slices.Clone(s.Reports)
	return s
}

// queue adds a report that waits to be delivered.
func (s *State) queue(r QueuedReport) {
	s.Reports = append(s.Reports, r)
	if extra := len(s.Reports) - maxQueued; extra > 0 {
		s.Reports = slices.Delete(s.Reports, 0, extra)
	}
}

// refuse remembers a refusal.
func (s *State) refuse(r Refusal) {
	s.Refused = append(s.Refused, r)
	if extra := len(s.Refused) - maxRefused; extra > 0 {
		s.Refused = slices.Delete(s.Refused, 0, extra)
	}
}

// storage marks an error as one of the device's storage. One that says why
// already is left alone.
func storage(err error) error {
	if err == nil || reason.Of(err) != reason.Internal {
		return err
	}
	return fmt.Errorf("%w: %w", reason.Storage, err)
}
