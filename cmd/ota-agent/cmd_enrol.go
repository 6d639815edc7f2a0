package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/secure-ota/secure-ota/client"
)

func cmdEnrol() command {
	return command{
		name: "enrol", short: "make this computer a device, with a one-time code",
		long: `
Asks the server to make this computer a device, and writes the configuration,
the device's secret (mode 0600) and its first keyset. The code comes from
` + "`ota device add --enrol`" + ` and works once. The server prints its fingerprint
when it starts: compare it, for the code goes to whoever has that certificate.

  ota-agent enrol --server https://ota.example.com:8443 --fingerprint 3f:9a:… --code ABCD-EFGH-JKLM-NPQR
  ota-agent enrol --server https://ota.example.com --ca company.pem --code … --device gw-17 --storage /data/ota
`,
		setup: func(fs *flag.FlagSet, env *environment) func(context.Context, []string) error {
			var t target
			var e client.Enrolment
			t.flags(fs)
			fs.StringVar(&e.Code, "code", "", "one-time `CODE`")
			fs.StringVar(&e.DeviceType, "device-type", "", "device `TYPE`, if the code does not name it")
			fs.StringVar(&e.Device, "device", "", "`ID` of the device, if neither the code nor the server is to choose it")
			fs.StringVar(&e.HardwareRevision, "hardware-revision", "", "`REVISION` of the hardware")
			return func(ctx context.Context, _ []string) error { return enrol(ctx, env, t, e) }
		},
	}
}

func enrol(ctx context.Context, env *environment, t target, e client.Enrolment) error {
	if e.Code == "" {
		return fmt.Errorf("%w: enrol: --code is missing", errUsage)
	}
	cfg, err := t.config(env)
	if err != nil {
		return err
	}
	server, err := cfg.Remote()
	if err != nil {
		return err
	}
	// The code is spent by the first try: what can fail here fails before.
	return become(env, cfg, func() (client.Provisioning, error) { return client.Enrol(ctx, server, e) })
}
