package offline

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

type keyGenerateOptions struct {
	env       *env.Env
	pass      *passphrase.Source
	purpose   string
	releaseOf string
	algorithm algorithm
}

func keyGenerateCommand(e *env.Env) *cobra.Command {
	o := keyGenerateOptions{env: e, pass: e.Passphrase(), algorithm: algorithm{trust.PS256, signing.DefaultRSABits}}
	cmd := &cobra.Command{
		Use:   "generate NAME",
		Short: "Make a key in the home",
		Long: `Make a key in the home: keys/NAME.pem (PKCS#8, mode 0600, encrypted) and keys/NAME.pub.pem.
A key has one use, which is written into both files; a key is never overwritten.

Purposes: root (signs keysets), release (signs manifests of --device-type), firmware (bare files).`,
		Example: `  ota key generate root-4 --purpose root --algorithm PS256-3072
  ota key generate ci --purpose release --device-type sensor_v1
  ota key generate legacy --purpose firmware --passphrase-file pass.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.purpose, "purpose", "", "`USE` of the key: root, release or firmware")
	flags.StringVar(&o.releaseOf, "device-type", "", "the `TYPE` of device a release key is for")
	textFlag(flags, &o.algorithm, "algorithm", "`NAME` of the algorithm: PS256, PS256-3072, PS256-4096, ESP256 or Ed25519 (default PS256)")
	o.pass.Flags(flags)
	cmd.MarkFlagRequired("purpose")
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "no-passphrase")
	cmd.RegisterFlagCompletionFunc("purpose", cobra.FixedCompletions([]string{"root", "release", "firmware"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("algorithm", cobra.FixedCompletions(algorithms, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("device-type", CompleteTypes(e))
	return cmd
}

func (o *keyGenerateOptions) run(name string) error {
	purpose, err := o.use()
	if err != nil {
		return err
	}
	h, err := o.env.Home()
	if err != nil {
		return err
	}
	if err := h.NameFree(name); err != nil {
		return err
	}
	secret, err := o.pass.ForNewKeys("key " + name)
	if err != nil {
		return err
	}
	key, err := generate(o.algorithm, purpose)
	if err != nil {
		return err
	}
	k, err := h.AddKey(name, key, secret)
	if err != nil {
		return err
	}
	return o.env.Print(keyRecord(h, k))
}

func (o *keyGenerateOptions) use() (home.Purpose, error) {
	if (o.purpose == "release") != (o.releaseOf != "") {
		return "", exit.Usagef("--purpose release and --device-type go together")
	}
	switch o.purpose {
	case "root":
		return home.ForRoot, nil
	case "release":
		return home.ReleaseOf(o.releaseOf), nil
	case "firmware":
		if o.algorithm.Algorithm != trust.PS256 || o.algorithm.bits != signing.DefaultRSABits {
			return "", exit.Usagef("bare files are signed with PS256 and 2048 bits")
		}
		return home.ForFirmware, nil
	}
	return "", exit.Usagef("--purpose %q: want root, release or firmware", o.purpose)
}
