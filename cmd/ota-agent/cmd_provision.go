package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent"
)

func cmdProvision() command {
	return command{
		name: "provision", args: "FILE", short: "make this computer a device, with a provisioning file", maxArgs: 1,
		long: `
Makes this computer the device of a provisioning file, as ` + "`ota device add`" + `
writes it: identity, secret and first keyset. FILE may be - for stdin. The file
holds the device's secret: remove it afterwards.

A device that is provisioned already takes only a newer key generation; what is
installed stays.

  ota device add gateway gw-17 --json | ssh gw-17 ota-agent provision - --server https://ota.example.com
  ota-agent provision --server https://10.0.0.5:8443 --fingerprint 3f:9a:… --storage ./device device.json
`,
		setup: func(fs *flag.FlagSet, env *environment) func(context.Context, []string) error {
			var t target
			t.flags(fs)
			return func(_ context.Context, args []string) error { return provisionFile(env, t, args) }
		},
	}
}

func provisionFile(env *environment, t target, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%w: provision: which file?", errUsage)
	}
	cfg, err := t.config(env)
	if err != nil {
		return err
	}
	raw, err := readFile(env.stdin, args[0])
	if err != nil {
		return fmt.Errorf("read provisioning: %w", err)
	}
	p, err := client.ParseProvisioning(raw)
	if err != nil {
		return err
	}
	cc, _, err := cfg.Client()
	if err != nil {
		return err
	}
	if err := cfg.Save(env.config); err != nil {
		return err
	}
	return provision(env, cfg, cc, p)
}

// readFile reads a file, or stdin for "-".
func readFile(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(stdin, client.MaxProvisioning+1))
	}
	return os.ReadFile(name)
}

// provision makes the device, and says what it became.
func provision(env *environment, cfg agent.Config, cc client.Config, p client.Provisioning) error {
	if err := client.Provision(cc, p); err != nil {
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
	fmt.Fprintf(env.stdout, "This is device %s of type %s now, level %d, keyset version %d.\n", info.Device, info.DeviceType, info.Level, info.KeysetVersion)
	fmt.Fprintf(env.stdout, "configuration  %s\nstorage        %s\n", env.config, cfg.Storage)
	return nil
}
