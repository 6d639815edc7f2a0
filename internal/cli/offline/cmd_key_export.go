package offline

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline/cheader"
	"github.com/secure-ota/secure-ota/internal/home"
)

type keyExportOptions struct {
	env    *env.Env
	format string
	symbol string
	output string
}

// exportFormats are the forms in which a public key leaves the home.
var exportFormats = []string{"pem", "cose", "c"}

func keyExportCommand(e *env.Env) *cobra.Command {
	o := keyExportOptions{env: e}
	var header bool
	cmd := &cobra.Command{
		Use:   "export KEY",
		Short: "Export a public key: PEM, raw COSE_Key, or a C header for libota",
		Long: `Export the public half of a key: a name in the home, or a PEM file.

  pem   SubjectPublicKeyInfo, as OpenSSL reads it
  cose  the raw COSE_Key, whose SHA-256 is the key id
  c     a C99 header for libota, also --c-header: key id, and for RSA a struct ota_rsa_key with the
        prepared values of Montgomery's method, which devices never take from the wire; for
        other algorithms a struct ota_cose_key`,
		Example: `  ota key export release-sensor_v1-1 --c-header -o release_key.h
  ota key export root-1 -o root-1.pub.pem`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeKeys(e),
		RunE: func(_ *cobra.Command, args []string) error {
			if header {
				o.format = "c"
			}
			return o.run(args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.format, "format", "pem", "`FORM`: pem, cose or c")
	flags.BoolVar(&header, "c-header", false, "the same as --format c")
	flags.StringVar(&o.symbol, "symbol", "", "the `PREFIX` of all C names (default: from the key's name)")
	flags.StringVarP(&o.output, "output", "o", "-", "where it goes: `FILE`, or - for standard output")
	cmd.MarkFlagsMutuallyExclusive("format", "c-header")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(exportFormats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *keyExportOptions) run(ref string) error {
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	key, purpose, err := loadPublicKey(o.env, h, ref)
	if err != nil {
		return err
	}
	var data []byte
	switch o.format {
	case "pem":
		data = home.PublicText(key, purpose)
	case "cose":
		data = key.COSEKey()
	case "c":
		symbol := o.symbol
		if symbol == "" {
			symbol = cheader.Symbol(ref)
		}
		if data, err = cheader.Header(key, symbol, purpose.String()); err != nil {
			return exit.Usagef("--symbol: %w", err)
		}
	default:
		return exit.Usagef("--format %q: want pem, cose or c", o.format)
	}
	return o.env.WriteFile(o.output, data, 0o644)
}
