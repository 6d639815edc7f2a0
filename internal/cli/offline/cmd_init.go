package offline

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

type initOptions struct {
	env  *env.Env
	pass *passphrase.Source

	vendor        string
	deviceType    string
	roots         int
	rootThreshold int
	rootKeys      []string // public keys of roots that are elsewhere
	critical      bool
	algorithm     algorithm
}

func initCommand(e *env.Env) *cobra.Command {
	o := initOptions{env: e, pass: e.Passphrase(), algorithm: algorithm{trust.PS256, signing.DefaultRSABits}}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make a home for a vendor: root keys, first release key, first keyset",
		Long: `Make a home: root keys (3, of which 2 must sign), the release key of the first device type,
and its keyset, signed by the roots. The directory is DIR, --home, $OTA_HOME or ./ota-home.

Whoever has the root keys decides whom the devices trust. For a start they lie in the home,
encrypted; before devices leave the house, move each private root key to a machine, stick or
token of its own: the home works without them (see "ota keyset request").

With --root the roots are keys that others made; the keyset then waits for their signatures.
With --roots 0 and no device type the home is empty, for a machine that only signs.`,
		Example: `  ota init --vendor acme --device-type sensor_v1
  ota init --vendor acme --device-type pump --critical --roots 5 --root-threshold 3
  ota init --vendor acme --device-type lock --root alice.pub.pem --root bob.pub.pem --roots 0
  ota init /media/stick/ota-home --vendor acme --roots 1      # a root holder's stick`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.vendor, "vendor", "", "the `NAME` that stands in keysets and manifests")
	flags.StringVar(&o.deviceType, "device-type", "", "the first `TYPE` of device (default: none yet)")
	flags.IntVar(&o.roots, "roots", 3, "the `NUMBER` of root keys to make")
	flags.IntVar(&o.rootThreshold, "root-threshold", 0, "the `NUMBER` of roots that must sign (default: more than half)")
	flags.StringArrayVar(&o.rootKeys, "root", nil, "the public key `FILE` of a root that is elsewhere; may be repeated")
	flags.BoolVar(&o.critical, "critical", false, "releases need the signatures of two release keys")
	textFlag(flags, &o.algorithm, "algorithm", "`NAME` of the algorithm of all keys: PS256, PS256-3072, PS256-4096, ESP256 or Ed25519 (default PS256)")
	o.pass.Flags(flags)
	cmd.MarkFlagRequired("vendor")
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "no-passphrase")
	cmd.RegisterFlagCompletionFunc("algorithm", cobra.FixedCompletions(algorithms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *initOptions) run(args []string) error {
	dir, err := o.dir(args)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if err := home.Free(fsatomic.OS(), dir); err != nil { // before anybody is asked anything
		return err
	}
	var secret []byte
	if o.roots > 0 || o.deviceType != "" {
		if secret, err = o.pass.ForNewKeys("the keys of the new home"); err != nil {
			return err
		}
	}
	h, err := home.Create(fsatomic.OS(), dir, o.vendor, func(h *home.Home) error { return o.fill(h, secret) })
	if err != nil {
		return err
	}
	return o.report(h)
}

func (o *initOptions) dir(args []string) (string, error) {
	switch {
	case len(args) == 1 && o.env.HomeDir != "":
		return "", exit.Usagef("both DIR and --home are given")
	case len(args) == 1:
		return args[0], nil
	case o.env.HomeDir != "":
		return o.env.HomeDir, nil
	case o.env.Getenv(home.Variable) != "":
		return o.env.Getenv(home.Variable), nil
	}
	return home.DefaultDir, nil
}

func (o *initOptions) check() error {
	all := o.roots + len(o.rootKeys)
	if err := manifest.CheckName(o.vendor); err != nil {
		return exit.Usagef("--vendor: %w", err)
	}
	if o.deviceType != "" {
		if err := manifest.CheckName(o.deviceType); err != nil {
			return exit.Usagef("--device-type: %w", err)
		}
		if all < 1 || o.roots < 0 || all > trust.MaxRoots {
			return exit.Usagef("%d root keys: want 1 to %d", all, trust.MaxRoots)
		}
	}
	if o.roots < 0 || o.roots > trust.MaxRoots {
		return exit.Usagef("--roots %d: want 0 to %d", o.roots, trust.MaxRoots)
	}
	if o.rootThreshold == 0 {
		o.rootThreshold = all/2 + 1
	}
	if o.deviceType != "" && (o.rootThreshold < 1 || o.rootThreshold > all) {
		return exit.Usagef("--root-threshold %d: want 1 to %d, the number of roots", o.rootThreshold, all)
	}
	return nil
}

func (o *initOptions) fill(h *home.Home, secret []byte) error {
	ks := &trust.Keyset{Vendor: o.vendor, DeviceType: o.deviceType, Version: 1, RootThreshold: o.rootThreshold, ReleaseThreshold: 1}
	var roots []*signing.Key
	for i := range o.roots {
		key, err := generate(o.algorithm, home.ForRoot)
		if err != nil {
			return err
		}
		if _, err := h.AddKey(fmt.Sprintf("root-%d", i+1), key, secret); err != nil {
			return err
		}
		roots = append(roots, key)
		ks.Roots = append(ks.Roots, trust.SignerKey{ID: key.Public().ID(), Algorithm: key.Public().Algorithm()})
	}
	for i, name := range o.rootKeys {
		key, _, err := loadPublicKey(o.env, nil, name)
		if err != nil {
			return err
		}
		if _, err := h.AddPublicKey(fmt.Sprintf("root-%d", o.roots+i+1), key, home.ForRoot); err != nil {
			return err
		}
		ks.Roots = append(ks.Roots, trust.SignerKey{ID: key.ID(), Algorithm: key.Algorithm()})
	}
	if o.deviceType == "" {
		return nil
	}
	if o.critical {
		ks.ReleaseThreshold = 2
	}
	var err error
	if ks.Releases, err = generateReleaseKeys(h, o.deviceType, o.algorithm, 1, ks.ReleaseThreshold, secret); err != nil {
		return err
	}
	raw, err := trust.UnsignedKeyset(ks)
	if err != nil {
		return err
	}
	for _, root := range roots {
		if raw, err = trust.SignKeyset(raw, root); err != nil {
			return err
		}
	}
	_, _, err = h.PutKeyset(raw, nil)
	return err
}

func (o *initOptions) report(h *home.Home) error {
	keys, err := h.Keys()
	if err != nil {
		return err
	}
	said := record.Record{
		{Name: "home", Value: h.Dir()},
		{Name: "vendor", Value: h.Vendor()},
		{Name: "keys", Value: keyTable(keys)},
	}
	if o.deviceType == "" {
		return o.env.Print(said)
	}
	said.Add("device type", o.deviceType)
	_, err = h.Newest(o.deviceType)
	said.Add("keyset signed", err == nil)
	if err := o.env.Print(said); err != nil {
		return err
	}
	if err != nil {
		o.env.Say("next: collect the roots' signatures: ota keyset request %s", o.deviceType)
		return nil
	}
	o.env.Say("next: ota manifest firmware.bin --device-type %s --version 1.0.0 --key %s", o.deviceType, releaseKeyName(keys))
	return nil
}

func releaseKeyName(keys []home.Key) string {
	for _, k := range keys {
		if _, ok := k.Purpose.DeviceType(); ok {
			return k.Name
		}
	}
	return "KEY"
}

func keyTable(keys []home.Key) record.Table {
	t := record.Table{}
	for _, k := range keys {
		t = append(t, record.Record{
			{Name: "name", Value: k.Name},
			{Name: "purpose", Value: k.Purpose},
			{Name: "algorithm", Value: k.Public.Algorithm()},
			{Name: "bits", Value: k.Public.Bits()},
			{Name: "private", Value: string(k.Private)},
			{Name: "key id", Value: k.Public.ID()},
		})
	}
	return t
}
