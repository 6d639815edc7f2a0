package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

type tokenAddOptions struct {
	env     *env.Env
	target  target
	role    string
	scope   auth.Scope
	valid   time.Duration
	forever bool
}

func tokenAddCommand(e *env.Env) *cobra.Command {
	o := tokenAddOptions{env: e, target: target{env: e}}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make an operator's token, which is shown this once",
		Long: `Make an operator's token. Each role may do what those before it may: viewer sees everything but
secrets, publisher adds signed keysets and releases, approver starts and stops rollouts,
administrator adds devices and tokens and withdraws releases.

--type and --only narrow the role: to device types, and to actions by the names that ota audit list
shows (release.publish; with a dot at the end all below: release.). A narrowed token manages no
tokens. Tokens last 90 days unless said otherwise.`,
		Example: `  ota token add ci --role publisher --type sensor_v1 --only release. --only upload
  ota token add prometheus --role viewer --only metrics --no-expiry
  ota token add alice --role approver --valid 720h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.role, "role", "", "`ROLE`: viewer, publisher, approver or administrator")
	flags.StringArrayVar(&o.scope.DeviceTypes, "type", nil, "only this device `TYPE`; may be repeated")
	flags.StringArrayVar(&o.scope.Actions, "only", nil, "only this `ACTION`, such as release.publish; with a dot at its end all below it; may be repeated")
	flags.DurationVar(&o.valid, "valid", auth.DefaultTokenLife, "how long it is good: a `TIME` such as 8760h")
	flags.BoolVar(&o.forever, "no-expiry", false, "good until it is revoked")
	cmd.MarkFlagRequired("role")
	cmd.MarkFlagsMutuallyExclusive("valid", "no-expiry")
	cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"viewer", "publisher", "approver", "administrator"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("type", offline.CompleteTypes(e))
	o.target.flags(cmd)
	return cmd
}

func (o *tokenAddOptions) run(ctx context.Context, name string) error {
	role, err := auth.ParseRole(o.role)
	if err != nil {
		return exit.Usagef("--role: %w", err)
	}
	if err := o.scope.Validate(); err != nil {
		return exit.Usagef("%w", err)
	}
	if o.valid <= 0 {
		return exit.Usagef("--valid %s: want more than nothing, or --no-expiry", o.valid)
	}
	if o.forever {
		o.valid = auth.Forever
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		token, err := m.AddToken(ctx, auth.NewOperator{Name: name, Role: role, Scope: o.scope, Valid: o.valid})
		if err != nil {
			return err
		}
		said := record.Record{{Name: "name", Value: name}, {Name: "role", Value: role}}
		if len(o.scope.DeviceTypes) > 0 {
			said.Add("device types", o.scope.DeviceTypes)
		}
		if len(o.scope.Actions) > 0 {
			said.Add("only", o.scope.Actions)
		}
		if !o.forever {
			said.Add("expires", moment(o.env.Now().Add(o.valid)))
		}
		said.Addn("token", token.Reveal(), "shown this once")
		return o.env.Print(said)
	})
}
