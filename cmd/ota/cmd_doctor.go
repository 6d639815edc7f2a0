package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/home"
)

// errUnwell is the verdict of a doctor who found something that fails.
var errUnwell = errors.New("something has to be repaired")

// A diagnosis is one line of the doctor.
type diagnosis struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"` // ok, warn or fail
	Found   string `json:"found"`
	Do      string `json:"do"` // what to do about it; empty if it is ok
}

func ok(check, found string) diagnosis       { return diagnosis{check, "ok", found, ""} }
func warn(check, found, do string) diagnosis { return diagnosis{check, "warn", found, do} }
func fail(check, found, do string) diagnosis { return diagnosis{check, "fail", found, do} }

// doctorTimeout bounds what waits for a network.
const doctorTimeout = 5 * time.Second

func doctorCommand(e *env.Env) *cobra.Command {
	data := ""
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check home, keys, data directory, disk, clock, ports, certificate and public URL",
		Long: `Check what this machine needs to sign and to serve, and say for each thing whether it is well and
otherwise what to do. Exit codes: 0 nothing fails (there may be warnings), 1 something fails.`,
		Example: `  ota doctor
  ota doctor --data /var/lib/ota --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return doctor(cmd.Context(), e, data) },
	}
	cmd.Flags().StringVar(&data, "data", "", "data `DIR` (default: that of the home)")
	return cmd
}

func doctor(ctx context.Context, e *env.Env, data string) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	h, err := e.HomeIfAny()
	if err != nil {
		return err
	}
	config := home.DefaultServerConfig()
	var found []diagnosis
	if h != nil {
		if config, err = h.ServerConfig(); err != nil {
			return err
		}
		found = append(found, checkHome(h)...)
	} else {
		found = append(found, warn("home", "none here", "to sign, make one: ota init --vendor NAME --device-type TYPE"))
	}
	if data != "" {
		config.Data = data
	}
	found = append(found, checkData(config.Data)...)
	found = append(found, checkClock(e.Now(), config.Data))
	found = append(found, checkCertificate(e.Now(), config)...)
	found = append(found, checkPort("tls port", config.TLSAddress), checkPort("plain port", config.PlainAddress))
	found = append(found, checkPublicURL(ctx, config))
	if err := e.PrintData(found, diagnosisTable(found)); err != nil {
		return err
	}
	for _, d := range found {
		if d.Verdict == "fail" {
			return errUnwell
		}
	}
	return nil
}

func diagnosisTable(found []diagnosis) record.Table {
	t := record.Table{}
	for _, d := range found {
		t = append(t, record.Record{
			{Name: "check", Value: d.Check},
			{Name: "verdict", Value: d.Verdict},
			{Name: "found", Value: d.Found},
			{Name: "do", Value: d.Do},
		})
	}
	return t
}
