package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

type deviceAddOptions struct {
	env      *env.Env
	target   target
	token    bool
	hardware string
	labels   []string
	output   string

	enrol bool
	again bool
	valid time.Duration
}

func deviceAddCommand(e *env.Env) *cobra.Command {
	o := deviceAddOptions{env: e, target: target{env: e}}
	cmd := &cobra.Command{
		Use:   "add TYPE [ID]",
		Short: "Add a device and print what it is provisioned with, or make an enrolment code",
		Long: `Add a device. What it is to be given, keys or token, keyset and public keys, is printed as JSON
this once, or written to a file that you alone can read.

With --token the device has no key of its own and speaks JSON over TLS with a bearer token.
With --enrol nothing is added yet: a one-time code is printed, with which an agent enrols itself.`,
		Example: `  ota device add sensor_v1 dev-0001 -o dev-0001.json
  ota device add gateway gw-17 --enrol
  ota device add gateway --enrol --valid 1h
  ota device add gateway gw-17 --enrol --again      # after the device lost its keys`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.token, "token", false, "a bearer token instead of a device key")
	flags.StringVar(&o.hardware, "hardware", "", "hardware `REVISION`")
	flags.StringArrayVar(&o.labels, "label", nil, "`NAME=VALUE`, for people and groups; may be repeated")
	flags.StringVarP(&o.output, "output", "o", "-", "where the provisioning file goes: `FILE`, which must not exist")
	flags.BoolVar(&o.enrol, "enrol", false, "make a one-time code instead")
	flags.BoolVar(&o.again, "again", false, "with --enrol: the device may exist; its old keys end")
	flags.DurationVar(&o.valid, "valid", fleet.DefaultCodeLife, "with --enrol: how long the code is good, a `TIME` such as 1h")
	cmd.MarkFlagsMutuallyExclusive("enrol", "output")
	cmd.MarkFlagsMutuallyExclusive("enrol", "token")
	cmd.MarkFlagsMutuallyExclusive("enrol", "label")
	o.target.flags(cmd)
	return cmd
}

func (o *deviceAddOptions) run(ctx context.Context, args []string) error {
	ref := fleet.Ref{DeviceType: args[0]}
	if len(args) == 2 {
		ref.ID = args[1]
	}
	if ref.ID == "" && !o.enrol {
		return exit.Usagef("name the device: ota device add %s ID", ref.DeviceType)
	}
	if o.again && (!o.enrol || ref.ID == "") {
		return exit.Usagef("--again goes with --enrol and the ID of the device")
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		if o.enrol {
			return o.makeCode(ctx, m, ref)
		}
		return o.add(ctx, m, ref)
	})
}

func (o *deviceAddOptions) makeCode(ctx context.Context, m api.Management, ref fleet.Ref) error {
	code, err := m.AddEnrolmentCode(ctx, fleet.NewCode{DeviceType: ref.DeviceType, Device: ref.ID, Again: o.again, Valid: o.valid})
	if err != nil {
		return err
	}
	err = o.env.PrintData(code, record.Record{
		{Name: "code", Value: code.Code, Note: "shown this once"},
		{Name: "expires", Value: code.Expires.Format(time.RFC3339)},
	})
	if err != nil {
		return err
	}
	info, err := m.Info(ctx)
	if err != nil {
		return err
	}
	o.env.Say("next, on the device: ota-agent enrol --server %s --fingerprint %s --code %s",
		cmp.Or(info.PublicURL, o.target.server, "URL"), cmp.Or(info.Fingerprint, "HEX"), code.Code)
	return nil
}

func (o *deviceAddOptions) add(ctx context.Context, m api.Management, ref fleet.Ref) error {
	d := fleet.NewDevice{Ref: ref, Level: fleet.Keyed, HardwareRevision: o.hardware, Labels: map[string]string{}}
	if o.token {
		d.Level = fleet.TokenOnly
	}
	for _, label := range o.labels {
		name, value, ok := strings.Cut(label, "=")
		if !ok {
			return exit.Usagef("--label %q: want NAME=VALUE", label)
		}
		d.Labels[name] = value
	}
	if o.output != "-" {
		// Before the device is made: its secrets are shown this once.
		if err := errors.Join(offline.RefuseExisting(o.output), env.TryOut(o.output)); err != nil {
			return err
		}
	}
	p, err := m.AddDevice(ctx, d)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := record.WriteJSON(&text, p); err != nil {
		return err
	}
	if err := o.env.CreateFile(o.output, text.Bytes(), 0o600); err != nil || o.output == "-" {
		return err
	}
	return o.env.Print(record.Record{
		{Name: "device type", Value: p.DeviceType},
		{Name: "device", Value: p.Device},
		{Name: "provisioning", Value: o.output},
	})
}
