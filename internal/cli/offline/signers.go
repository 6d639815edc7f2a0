package offline

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// A signer signs objects, and bare files as far as its key may.
type signer interface {
	trust.Signer
	SignFirmware(io.Reader) ([]byte, manifest.Digest, error)
}

// fileSigner is a private key in memory as a signer.
type fileSigner struct {
	*signing.Key
	signing.FirmwareSigner
	name string // by which it was asked for
}

func newFileSigner(name string, k *signing.Key) signer {
	return fileSigner{k, signing.FirmwareSigner{Key: k}, name}
}

// nameOf returns what people call a signer's key.
func nameOf(s signer) string {
	if f, ok := s.(fileSigner); ok {
		return f.name
	}
	return s.Public().ID().String()
}

// signerFlags are the flags that say who signs: keys by file or by their name
// in the home, or another program.
type signerFlags struct {
	env  *env.Env
	pass *passphrase.Source

	keys         []string // --key
	signer       string   // --signer
	signerPublic string   // --signer-public
}

func newSignerFlags(e *env.Env) signerFlags { return signerFlags{env: e, pass: e.Passphrase()} }

// add adds the flags; what describes the keys that fit.
func (f *signerFlags) add(cmd *cobra.Command, what string) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.keys, "key", nil, "sign with `KEY`: "+what+", a PEM file or a name in the home")
	flags.StringVar(&f.signer, "signer", "", "sign by running `'CMD ARGS'`: message on its stdin, signature on its stdout")
	flags.StringVar(&f.signerPublic, "signer-public", "", "the public key `FILE` of --signer")
	cmd.MarkFlagsRequiredTogether("signer", "signer-public")
	cmd.RegisterFlagCompletionFunc("key", completeKeys(f.env))
}

// given reports whether any flag says who signs.
func (f *signerFlags) given() bool { return len(f.keys) > 0 || f.signer != "" }

// load returns the signers the flags name. h may be nil.
func (f *signerFlags) load(h *home.Home) ([]signer, error) {
	var signers []signer
	for _, ref := range f.keys {
		k, err := f.loadKey(h, ref)
		if err != nil {
			return nil, err
		}
		signers = append(signers, newFileSigner(ref, k))
	}
	if f.signer != "" {
		public, _, err := loadPublicKey(f.env, h, f.signerPublic)
		if err != nil {
			return nil, err
		}
		argv := strings.Fields(f.signer)
		if len(argv) == 0 {
			return nil, exit.Usagef("--signer is empty")
		}
		signers = append(signers, signing.External{Command: argv, Key: public})
	}
	return signers, nil
}

// one is load for commands that take a single signature.
func (f *signerFlags) one(h *home.Home) (signer, error) {
	signers, err := f.load(h)
	if err != nil {
		return nil, err
	}
	if len(signers) != 1 {
		return nil, exit.Usagef("%d signers given, want one", len(signers))
	}
	return signers[0], nil
}

// loadKey reads the private key that ref names: in the home if it has one of
// that name, else in a file.
func (f *signerFlags) loadKey(h *home.Home, ref string) (*signing.Key, error) {
	if h != nil {
		k, err := h.LoadKey(ref, f.pass.ForKey(ref))
		if !errors.Is(err, home.ErrNoKey) {
			return k, env.AboutFile(h.PrivatePath(ref), err)
		}
	}
	k, err := signing.LoadPrivateKey(ref, f.pass.ForKey(ref))
	if errors.Is(err, fs.ErrNotExist) && h != nil && manifest.CheckName(ref) == nil {
		return nil, fmt.Errorf("key %s: %w, and there is no such file", ref, home.ErrNoKey)
	}
	return k, env.AboutFile(ref, err)
}

// maxPublicKey bounds a public key file, in bytes.
const maxPublicKey = 16 << 10

// loadPublicKey reads the public key that ref names: in the home if it has one
// of that name, else in a PEM or COSE_Key file.
func loadPublicKey(e *env.Env, h *home.Home, ref string) (trust.PublicKey, home.Purpose, error) {
	if h != nil {
		k, err := h.Key(ref)
		if !errors.Is(err, home.ErrNoKey) {
			return k.Public, k.Purpose, err
		}
	}
	data, err := e.ReadFile(ref, maxPublicKey)
	if err != nil {
		return trust.PublicKey{}, "", fmt.Errorf("load public key: %w", err)
	}
	if k, err := trust.ParseCOSEKey(data); err == nil {
		return k, home.ForFirmware, nil
	}
	k, purpose, err := home.ParsePublicText(data)
	if err != nil {
		return trust.PublicKey{}, "", fmt.Errorf("load public key %s: %w", ref, err)
	}
	return k, purpose, nil
}

// completeKeys completes the names of the home's keys, and files.
func completeKeys(e *env.Env) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		h, err := e.HomeIfAny()
		if err != nil || h == nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		keys, err := h.Keys()
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		var names []cobra.Completion
		for _, k := range keys {
			names = append(names, cobra.CompletionWithDesc(k.Name, k.Purpose.String()))
		}
		return names, cobra.ShellCompDirectiveDefault
	}
}

// CompleteTypes completes the device types of the home.
func CompleteTypes(e *env.Env) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		h, err := e.HomeIfAny()
		if err != nil || h == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		types, err := h.Types()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return types, cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteTypeArg completes a device type that is the first argument.
func CompleteTypeArg(e *env.Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return CompleteTypes(e)(cmd, args, prefix)
	}
}

// RefuseExisting refuses a file that is already there, before any work is done for it.
func RefuseExisting(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	return nil
}
