package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// errDeviceExists is the refusal to make a new key for a device that has one.
var errDeviceExists = errors.New("it exists, and its key is shown only once: take it from the file of \"ota device add\" with --from, " +
	"or make a new one, which ends the old one, with --rotate-key")

// rotation is how long the code is good with which a key is rotated: it is spent
// at once.
const rotation = time.Minute

// A provisionSource is where a device's keys come from: a file, or the server,
// which makes them.
type provisionSource struct {
	env      *env.Env
	target   target
	from     string
	rotate   bool
	hardware string

	made bool // a key, which is in no file yet
}

func (s *provisionSource) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.from, "from", "", "take the keys from `FILE`, which \"ota device add\" wrote")
	flags.BoolVar(&s.rotate, "rotate-key", false, "the device exists: make a new key; its old one ends")
	flags.StringVar(&s.hardware, "hardware", "", "hardware `REVISION`")
	cmd.MarkFlagsMutuallyExclusive("from", "rotate-key")
	s.target.flags(cmd)
}

// get returns the provisioning of [TYPE] ID, and the hardware revision.
func (s *provisionSource) get(ctx context.Context, args []string) (raw []byte, hardware string, err error) {
	ref := fleet.Ref{ID: args[len(args)-1]}
	if len(args) == 2 {
		ref.DeviceType = args[0]
	}
	if s.from != "" {
		raw, err = s.read(ref)
		return raw, s.hardware, err
	}
	err = s.target.with(ctx, func(ctx context.Context, m api.Management) error {
		if err := s.choose(ctx, m, &ref); err != nil {
			return err
		}
		if s.rotate {
			raw, err = s.rotated(ctx, m, ref)
		} else {
			raw, err = s.added(ctx, m, ref)
		}
		s.made = err == nil
		return err
	})
	return raw, s.hardware, err
}

// read reads the file of a device that was added earlier.
func (s *provisionSource) read(ref fleet.Ref) ([]byte, error) {
	raw, err := s.env.ReadFile(s.from, client.MaxProvisioning)
	if err != nil {
		return nil, err
	}
	p, err := client.ParseProvisioning(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.from, err)
	}
	if p.Device != ref.ID || ref.DeviceType != "" && p.DeviceType != ref.DeviceType {
		return nil, exit.Usagef("%s is of device %s/%s", s.from, p.DeviceType, p.Device)
	}
	return raw, nil
}

// choose fills in the device type where there is one.
func (s *provisionSource) choose(ctx context.Context, m api.Management, ref *fleet.Ref) error {
	if ref.DeviceType != "" {
		return nil
	}
	info, err := m.Info(ctx)
	if err != nil {
		return err
	}
	if len(info.DeviceTypes) == 0 {
		return fmt.Errorf("device %s: the server has no device type: %w", ref.ID, fleet.ErrNoKeyset)
	}
	if len(info.DeviceTypes) > 1 {
		return exit.Usagef("the server has %d device types (%s): say which: ota device provision TYPE %s",
			len(info.DeviceTypes), strings.Join(info.DeviceTypes, ", "), ref.ID)
	}
	ref.DeviceType = info.DeviceTypes[0]
	return nil
}

func (s *provisionSource) added(ctx context.Context, m api.Management, ref fleet.Ref) ([]byte, error) {
	p, err := m.AddDevice(ctx, fleet.NewDevice{Ref: ref, Level: fleet.Keyed, HardwareRevision: s.hardware})
	if errors.Is(err, fleet.ErrExists) {
		return nil, fmt.Errorf("device %s: %w", ref, errDeviceExists)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// rotated enrols the device again, as the device itself would.
func (s *provisionSource) rotated(ctx context.Context, m api.Management, ref fleet.Ref) ([]byte, error) {
	old, err := m.Device(ctx, ref)
	if err != nil {
		return nil, err
	}
	if s.hardware == "" {
		s.hardware = old.HardwareRevision
	}
	code, err := m.AddEnrolmentCode(ctx, fleet.NewCode{DeviceType: ref.DeviceType, Device: ref.ID, Again: true, Valid: rotation})
	if err != nil {
		return nil, err
	}
	if local, ok := m.(*api.Local); ok {
		p, err := local.Fleet.Enrol(ctx, fleet.Enrolment{
			Code: code.Code, DeviceType: ref.DeviceType, Device: ref.ID, HardwareRevision: s.hardware,
		}, "")
		if err != nil {
			return nil, err
		}
		return json.Marshal(p)
	}
	fingerprint, err := s.fingerprint(ctx, m)
	if err != nil {
		return nil, err
	}
	p, err := client.Enrol(ctx, client.Server{URL: s.target.server, Fingerprint: fingerprint}, client.Enrolment{
		Code: code.Code, DeviceType: ref.DeviceType, Device: ref.ID, HardwareRevision: s.hardware,
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// fingerprint is that of the certificate which the login is held against: in
// front of the server there may be a proxy with one of its own. A login that
// trusts the system's CAs has none, and the server says its own.
func (s *provisionSource) fingerprint(ctx context.Context, m api.Management) (string, error) {
	if s.env.Getenv(tokenVariable) != "" {
		if pinned := s.env.Getenv(fingerprintVariable); pinned != "" {
			return pinned, nil
		}
	} else if h, err := s.env.HomeIfAny(); err == nil && h != nil {
		if l, err := h.Login(strings.TrimSuffix(s.target.server, "/")); err == nil && l.Fingerprint != "" {
			return l.Fingerprint, nil
		}
	}
	info, err := m.Info(ctx)
	return info.Fingerprint, err
}

// spent says what has become of a key that was made, when what follows failed.
func (s *provisionSource) spent(err error) error {
	if !s.made {
		return err
	}
	return fmt.Errorf("%w; the server has the device, nobody has its key: run the command again with --rotate-key", err)
}
