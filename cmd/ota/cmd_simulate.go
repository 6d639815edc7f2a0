package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/simulate"
	"github.com/secure-ota/secure-ota/trust"
)

type simulateOptions struct {
	env     *env.Env
	config  simulate.Config
	secrets string
}

func simulateCommand(e *env.Env) *cobra.Command {
	o := simulateOptions{env: e}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Simulate a fleet of up to a million devices, to see what a server and a rollout do under it",
		Long: `Simulate devices that speak the device protocol with real MACs: they check, download, report and restart,
and by given shares lose answers, have slow links, fail, revert, or are never heard of again.

Without --server it makes a server of its own in a temporary directory, with its own keys, whose devices
run version 1.0.0; after --update-after it publishes 1.1.0, to all of them or in the stages of a rollout.
With --server it is the devices of --secrets (ota device import --secrets-out) of a server that runs;
that one should trust this machine as a proxy (ota serve --trusted-proxy), or its limits for one address
hold for the whole fleet.

What the devices do depends on --seed alone; when, on the machine as well. The command exits 1 if the
server refused or broke off a request.`,
		Example: `  ota simulate --devices 10000 --every 10s --duration 1m
  ota simulate --devices 5000 --every 2s --stages 1,10,100 --brick 0.5 --duration 2m
  ota simulate --server http://127.0.0.1:8080 --secrets secrets.jsonl --every 30s --duration 10m --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags, c := cmd.Flags(), &o.config
	flags.IntVar(&c.Devices, "devices", 10_000, "how many devices, up to 1,000,000")
	flags.IntVar(&c.Types, "types", 1, "device types that they are spread over")
	flags.DurationVar(&c.Every, "every", 10*time.Second, "`TIME` between two checks of a device")
	flags.DurationVar(&c.Duration, "duration", time.Minute, "`TIME` that the simulation takes")
	flags.Uint64Var(&c.Seed, "seed", 1, "what chance begins with")
	flags.Float64Var(&c.Loss, "loss", 0, "`SHARE` of answers that are lost on the way, 0 to 1")
	flags.Float64Var(&c.Slow, "slow", 0, "`SHARE` of devices with a link of 16 KiB a second")
	flags.Float64Var(&c.Reboot, "reboot", 0, "`SHARE` of checks before which the device restarts")
	flags.Float64Var(&c.Fail, "fail", 0, "`SHARE` of updates that break off")
	flags.Float64Var(&c.Revert, "revert", 0, "`SHARE` of updates that do not survive their trial")
	flags.Float64Var(&c.Brick, "brick", 0, "`SHARE` of updates after which a device is never heard of again")
	flags.Float64SliceVar(&c.Stages, "stages", nil, "the rollout's stages in `PERCENT`, such as 1,10,100 (default: none, everybody at once)")
	flags.Lookup("stages").DefValue = "" // the words say it
	flags.DurationVar(&c.UpdateAfter, "update-after", 0, "`TIME` after which the update is published (default: a fifth of the duration)")
	flags.IntVar(&c.ImageSize, "image-size", 64<<10, "`BYTES` of the update")
	flags.IntVar(&c.Connections, "connections", 64, "how many connections the devices share")
	flags.StringVar(&c.URL, "server", "", "`URL` of a server that runs already")
	flags.StringVar(&o.secrets, "secrets", "", "`FILE` with the secrets of its devices, one a line")
	cmd.MarkFlagsRequiredTogether("server", "secrets")
	return cmd
}

func (o *simulateOptions) run(ctx context.Context) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	if o.secrets != "" {
		if err := o.readSecrets(); err != nil {
			return err
		}
	}
	show := o.line()
	o.config.Show = show.progress
	sum, err := simulate.Run(ctx, o.config)
	show.end()
	switch {
	case errors.Is(err, simulate.ErrConfig):
		return exit.Usagef("%v", err)
	case err != nil:
		return err
	}
	if err := o.env.PrintData(sum, simulationRecord(sum)); err != nil {
		return err
	}
	if sum.Refused+sum.Broken > 0 {
		return fmt.Errorf("%d requests were refused and %d broke off, the first: %s", sum.Refused, sum.Broken, sum.FirstError)
	}
	return nil
}

// readSecrets reads what ota device add and import write.
func (o *simulateOptions) readSecrets() error {
	f, err := o.env.Open(o.secrets)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var p fleet.Provisioning
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return fmt.Errorf("%s, line %d: not the secrets of a device", o.secrets, n)
		}
		s := simulate.Secret{ID: trust.DeviceID{Vendor: p.Vendor, DeviceType: p.DeviceType, ID: p.Device}}
		if s.Keys.Up, err = trust.ParseDeviceKey(p.UpKey); err == nil {
			s.Keys.Down, err = trust.ParseDeviceKey(p.DownKey)
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: device %s has no keys", o.secrets, n, p.Device)
		}
		o.config.Secrets = append(o.config.Secrets, s)
	}
	return lines.Err()
}

// A progressLine is a line on a terminal that is written again and again.
type progressLine struct {
	out   io.Writer // nil: not a terminal
	drawn bool
}

func (o *simulateOptions) line() *progressLine {
	f, ok := o.env.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progressLine{}
	}
	return &progressLine{out: f}
}

func (l *progressLine) progress(p simulate.Progress) {
	if l.out == nil {
		return
	}
	l.drawn = true
	if p.Versions == nil {
		fmt.Fprintf(l.out, "\r%s: %.0f of %.0f\x1b[K", p.Phase, p.Done, p.Total)
		return
	}
	fmt.Fprintf(l.out, "\r%.0f of %.0f s, %d checks a second, p99 %s, %s\x1b[K", p.Done, p.Total, p.ChecksPerSecond, p.P99, versionsText(p.Versions))
}

func (l *progressLine) end() {
	if l.drawn {
		fmt.Fprintln(l.out)
	}
}

func versionsText(versions map[string]int64) string {
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(versions)) {
		parts = append(parts, fmt.Sprintf("%s: %d", v, versions[v]))
	}
	return strings.Join(parts, ", ")
}

func simulationRecord(s simulate.Summary) record.Record {
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	r := record.Record{
		{Name: "devices", Value: strconv.Itoa(s.Devices)},
		{Name: "checks", Value: count(s.Checks), Note: fmt.Sprintf("%.0f a second", s.ChecksPerSecond)},
		{Name: "check time", Value: timesText(s.CheckTimes)},
		{Name: "reports", Value: count(s.Reports), Note: "each durable"},
		{Name: "report time", Value: timesText(s.ReportTimes)},
		{Name: "downloads", Value: count(s.Downloads)},
		{Name: "updates", Value: fmt.Sprintf("%d confirmed, %d failed, %d reverted, %d bricked", s.Confirmed, s.Failed, s.Reverted, s.Bricked)},
		{Name: "versions", Value: versionsText(s.Versions)},
	}
	for _, ro := range s.Rollouts {
		r.Addn("rollout "+ro.Name, fmt.Sprintf("%s: of %s %d touched, %d confirmed, %d failed", ro.State, devices(ro.Target), ro.Touched, ro.Confirmed, ro.Failed), ro.Waits)
	}
	if s.Lost+s.Reboots > 0 {
		r.Add("mishaps", fmt.Sprintf("%d answers lost, %d restarts", s.Lost, s.Reboots))
	}
	if s.LateTicks > 0 {
		r.Addn("late", fmt.Sprintf("%.1f s", float64(s.LateTicks)/100), "in which devices waited for a connection: the server or this machine is at its limit")
	}
	return r
}

func timesText(t simulate.Times) string {
	ms := func(s float64) string { return strconv.FormatFloat(s*1000, 'f', 2, 64) }
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, longest %s ms", ms(t.P50), ms(t.P90), ms(t.P99), ms(t.Max))
}
