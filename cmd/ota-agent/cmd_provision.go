package main

import (
	"context"
	"errors"
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
	return become(env, cfg, func() (client.Provisioning, error) { return p, nil })
}

// readFile reads a file, or stdin for "-".
func readFile(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(stdin, client.MaxProvisioning+1))
	}
	return os.ReadFile(name)
}

// become makes this computer the device that who names. A refusal leaves the
// configuration of a device that exists as it was: it must not be turned to
// another server by a file that it does not take.
func become(env *environment, cfg agent.Config, who func() (client.Provisioning, error)) error {
	cc, _, err := cfg.Client()
	if err != nil {
		return err
	}
	old, oldErr := agent.LoadConfig(env.config)
	return cfg.Exclusive(func() error {
		if err := cfg.Save(env.config); err != nil {
			return err
		}
		p, err := who()
		if err == nil {
			err = client.Provision(cc, p)
		}
		if err != nil && oldErr == nil {
			err = errors.Join(err, old.Save(env.config))
		}
		if err != nil {
			return err
		}
		return introduce(env, cfg, cc)
	})
}

// introduce says what this computer became.
func introduce(env *environment, cfg agent.Config, cc client.Config) error {
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
