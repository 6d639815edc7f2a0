package bootloader

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/agent/journal"
)

// A File is a boot record in two CRC'd files, boot.a and boot.b, of which one
// is always whole. Next is its boot stage.
type File struct {
	journal *journal.Journal
	tries   int
}

// record is what the files hold.
type record struct {
	Active  string `json:"active"`
	Trial   string `json:"trial"`
	Tries   int    `json:"tries"`
	Running string `json:"running"`
}

// NewFile returns the boot record among files. A slot on trial is booted so
// many times; 0 means DefaultTries.
func NewFile(files journal.Files, tries int) *File {
	if tries == 0 {
		tries = DefaultTries
	}
	return &File{journal: journal.New(files, "boot"), tries: tries}
}

// Status returns what the record says.
func (f *File) Status(context.Context) (State, error) {
	raw, err := f.journal.Load()
	if err != nil {
		// Unreadable included: the record can be written anew, and a device has to boot.
		return State{}, fmt.Errorf("read boot record: %w: %v", ErrNoRecord, err)
	}
	s, err := decodeRecord(raw)
	if err != nil {
		return State{}, fmt.Errorf("read boot record: %w: %v", ErrNoRecord, err)
	}
	return s, nil
}

func decodeRecord(raw []byte) (State, error) {
	var r record
	if err := json.Unmarshal(raw, &r, json.RejectUnknownMembers(true)); err != nil {
		return State{}, err
	}
	active, errA := Parse(r.Active)
	running, errR := Parse(r.Running)
	trial, errT := Parse(r.Trial)
	if err := errors.Join(errA, errR, errT); err != nil {
		return State{}, err
	}
	switch {
	case active == None || running == None:
		return State{}, errors.New("no slot is active or running")
	case trial == active:
		return State{}, errors.New("the active slot is on trial")
	case r.Tries < 0 || r.Tries > MaxTries || trial == None && r.Tries != 0:
		return State{}, fmt.Errorf("%d tries", r.Tries)
	}
	return State{Running: running, Active: active, Trial: trial, Tries: r.Tries}, nil
}

func (f *File) write(s State) error {
	raw, err := json.Marshal(record{Active: Name(s.Active), Trial: Name(s.Trial), Tries: s.Tries, Running: Name(s.Running)})
	if err != nil {
		return fmt.Errorf("write boot record: %w", err)
	}
	if err := f.journal.Save(raw); err != nil {
		return fmt.Errorf("write boot record: %w", err)
	}
	return nil
}

// Try has the slot booted next, on trial.
func (f *File) Try(ctx context.Context, slot int) error {
	s, err := f.Status(ctx)
	if err != nil {
		return err
	}
	if err := checkSlot(slot); err != nil || slot == s.Active {
		return fmt.Errorf("boot slot %d on trial: it is no inactive slot", slot)
	}
	s.Trial, s.Tries = slot, f.tries
	return f.write(s)
}

// Set has the slot booted from now on, without a trial.
func (f *File) Set(ctx context.Context, slot int) error {
	if err := checkSlot(slot); err != nil {
		return err
	}
	s, err := f.Status(ctx)
	if errors.Is(err, ErrNoRecord) {
		s, err = State{Running: slot}, nil
	}
	if err != nil {
		return err
	}
	s.Active, s.Trial, s.Tries = slot, None, 0
	return f.write(s)
}

// Next is the boot stage: it returns the slot to start now. A try is counted
// down, durably, before it returns; when none is left the trial is over.
func (f *File) Next(ctx context.Context) (int, error) {
	s, err := f.Status(ctx)
	if err != nil {
		return None, err
	}
	next := s
	switch {
	case s.Trial != None && s.Tries > 0:
		next.Tries, next.Running = s.Tries-1, s.Trial
	default:
		next.Trial, next.Tries, next.Running = None, 0, s.Active
	}
	if next == s {
		return s.Running, nil
	}
	return next.Running, f.write(next)
}
