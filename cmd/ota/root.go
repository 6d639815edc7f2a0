package main

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/command"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
)

const rootLong = `Secure over-the-air firmware updates for devices that were never designed for them.

Exit codes: 0 done or verified, 1 refused or failed, 2 wrong usage.`

const rootExample = `  ota sign firmware.bin --key-out private_key.pem
  ota verify firmware.bin --public-key public_key.pem --signature firmware.bin.sig
  ota manifest firmware.bin --device-type sensor_v1 --version 2.1.0
  ota init --vendor acme --device-type sensor_v1`

// newRoot wires the command that args names; each is in a file of its own.
// Those that work with private keys are in package offline, which reaches no
// network.
func newRoot(e *env.Env, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "ota",
		Short:         "Sign, publish and serve firmware, and prove what happened",
		Long:          rootLong,
		Example:       rootExample,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceErrors: true, // run prints them, with a hint
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.Stdin)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	root.SetArgs(args)
	e.Flags(root.PersistentFlags())
	command.Add(root, args, append(offline.Commands(e), onlineCommands(e)...))
	if keyset, _, err := root.Find([]string{"keyset"}); err == nil && keyset != root {
		keyset.AddCommand(keysetPublishCommand(e)) // the one command about keysets that needs a server
	}
	return root
}

// onlineCommands returns the commands that work on a data directory or a
// running server. What they publish was signed by package offline.
func onlineCommands(e *env.Env) []command.Lazy {
	return []command.Lazy{
		{Name: "publish", Make: func() *cobra.Command { return publishCommand(e) }},
		{Name: "release", Make: func() *cobra.Command {
			return command.Group("release", "List, show, withdraw and downgrade releases",
				releaseListCommand(e), releaseShowCommand(e), releaseSBOMCommand(e), releaseWithdrawCommand(e), releaseDowngradeCommand(e))
		}},
		{Name: "serve", Make: func() *cobra.Command { return serveCommand(e) }},
		{Name: "gateway", Make: func() *cobra.Command { return gatewayCommand(e) }},
		{Name: "login", Make: func() *cobra.Command { return loginCommand(e) }},
		{Name: "device", Make: func() *cobra.Command {
			return command.Group("device", "Add, provision, list, show, edit and revoke devices",
				deviceAddCommand(e), deviceListCommand(e), deviceShowCommand(e), deviceHistoryCommand(e),
				deviceLabelCommand(e), deviceNoteCommand(e), deviceHoldCommand(e), deviceUnholdCommand(e),
				devicePinCommand(e), deviceUnpinCommand(e), deviceUpdateNowCommand(e),
				deviceExportCommand(e), deviceImportCommand(e),
				deviceRevokeCommand(e), deviceRetryCommand(e), deviceProvisionCommand(e))
		}},
		{Name: "rollout", Make: func() *cobra.Command {
			return command.Group("rollout", "Bring releases to devices in stages: create, plan, start, watch and stop rollouts",
				append([]*cobra.Command{
					rolloutCreateCommand(e), rolloutPlanCommand(e), rolloutListCommand(e), rolloutShowCommand(e),
					rolloutDevicesCommand(e), rolloutWatchCommand(e),
				}, rolloutActionCommands(e)...)...)
		}},
		{Name: "type", Make: func() *cobra.Command {
			return command.Group("type", "Show and change what holds for a device type",
				typeListCommand(e), typeShowCommand(e), typeSetCommand(e))
		}},
		{Name: "fleet", Make: func() *cobra.Command {
			return command.Group("fleet", "Count devices, and find those that lack the fix of a vulnerability",
				fleetSummaryCommand(e), fleetExposureCommand(e))
		}},
		{Name: "token", Make: func() *cobra.Command {
			return command.Group("token", "Make, list, rotate and revoke operators' tokens",
				tokenAddCommand(e), tokenListCommand(e), tokenRotateCommand(e), tokenRevokeCommand(e))
		}},
		{Name: "audit", Make: func() *cobra.Command {
			return command.Group("audit", "Read and verify the audit log",
				auditListCommand(e), auditVerifyCommand(e), auditCheckpointCommand(e), auditExportCommand(e), auditKeyCommand(e))
		}},
		{Name: "report", Make: func() *cobra.Command { return reportCommand(e) }},
		{Name: "backup", Make: func() *cobra.Command { return backupCommand(e) }},
		{Name: "restore", Make: func() *cobra.Command { return restoreCommand(e) }},
		{Name: "fsck", Make: func() *cobra.Command { return fsckCommand(e) }},
		{Name: "migrate", Make: func() *cobra.Command { return migrateCommand(e) }},
		{Name: "doctor", Make: func() *cobra.Command { return doctorCommand(e) }},
		{Name: "demo", Make: func() *cobra.Command { return demoCommand(e) }},
		{Name: "simulate", Make: func() *cobra.Command { return simulateCommand(e) }},
	}
}
