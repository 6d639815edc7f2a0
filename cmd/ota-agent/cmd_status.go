package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent"
)

func cmdStatus() command {
	return command{
		name: "status", short: "what is installed, and what is under way",
		long: `
Prints what the device remembers. It changes nothing, asks nobody, and works while
the daemon runs.

  ota-agent status
  ota-agent status --json | jq -r .version
`,
		setup: func(_ *flag.FlagSet, env *environment) func(context.Context, []string) error {
			return func(context.Context, []string) error { return status(env) }
		},
	}
}

func status(env *environment) error {
	cfg, err := agent.LoadConfig(env.config)
	if err != nil {
		return err
	}
	cc, _, err := cfg.Client()
	if err != nil {
		return err
	}
	c, err := client.New(cc)
	if err != nil {
		return err
	}
	info := c.DeviceInfo()
	if env.json {
		return env.print(info)
	}
	w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	for _, line := range statusLines(info) {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
	return w.Flush()
}

// statusLines describes a device, a name and a value each. What is not there is left out.
func statusLines(i client.Info) [][2]string {
	lines := [][2]string{
		{"device", strings.TrimSpace(fmt.Sprintf("%s, type %s %s", i.Device, i.DeviceType, i.HardwareRevision))},
		{"installed", orNothing(i.Version, fmt.Sprintf("%s (sequence %s, slot %s)", i.Version, i.Sequence, i.Slot))},
		{"keyset", fmt.Sprintf("version %d", i.KeysetVersion)},
		{"security floor", fmt.Sprint(i.SecurityFloor)},
		{"rolls back to", orNothing(i.Retained, i.Retained)},
	}
	if i.Phase != client.Idle {
		lines = append(lines, [2]string{"update", fmt.Sprintf("%s, %s, %d of %d bytes", i.Target, i.Phase, i.Written, i.Size)})
	}
	if i.Reverted {
		lines = append(lines, [2]string{"last trial", "failed"})
	}
	if i.LastError != "" {
		lines = append(lines, [2]string{"last error", i.LastError})
	}
	if i.QueuedReports > 0 {
		lines = append(lines, [2]string{"reports", fmt.Sprintf("%d wait to be delivered", i.QueuedReports)})
	}
	for _, h := range i.History {
		lines = append(lines, [2]string{"history", fmt.Sprintf("%s  %s", h.ConfirmedAt.Format(time.DateTime), h.Version)})
	}
	if i.Problem != "" {
		lines = append(lines, [2]string{"problem", i.Problem})
	}
	return lines
}

func orNothing(s, text string) string {
	if s == "" {
		return "nothing"
	}
	return text
}
