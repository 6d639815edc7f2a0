package offline

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

type signOptions struct {
	signerFlags
	keyOut       string
	publicKeyOut string
	hmacKey      string
	output       string
}

func signCommand(e *env.Env) *cobra.Command {
	o := signOptions{signerFlags: newSignerFlags(e)}
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign a file with a bare RSA-PSS signature, or MAC it",
		Long: `Sign a file: RSASSA-PSS with RSA-2048, SHA-256, MGF1-SHA-256 and a salt of 32 bytes,
256 bytes in FILE.sig, as OpenSSL verifies it:

  openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 \
      -verify public_key.pem -signature FILE.sig FILE

--key-out makes a new key and never overwrites one; the public key is written beside it.
A key has one use: a key that stands in a keyset signs no bare files, and a file that
begins like the inside of a COSE object is refused. To sign for devices that hold a
keyset, see "ota manifest".`,
		Example: `  ota sign firmware.bin --key-out private_key.pem       # makes the key, too
  ota sign firmware.bin --key private_key.pem
  ota sign firmware.bin --signer 'pkcs11-sign --slot 1' --signer-public public_key.pem
  ota sign firmware.bin --hmac-key mac.key              # 32 bytes in FILE.hmac
  ota sign - --key private_key.pem -o - < firmware.bin > firmware.bin.sig`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.keyOut, "key-out", "", "make a new key and write it to `FILE`, which must not exist")
	flags.StringVar(&o.publicKeyOut, "public-key-out", "", "where the public key of --key-out goes: `FILE` (default: public_key.pem beside it)")
	flags.StringVar(&o.hmacKey, "hmac-key", "", "MAC the file with HMAC-SHA-256 under the 32 bytes in `FILE`, raw or in hex")
	flags.StringVarP(&o.output, "output", "o", "", "where the signature goes: `FILE` (default: FILE.sig, with --hmac-key FILE.hmac)")
	o.add(cmd, "an RSA-2048 key")
	o.pass.Flags(flags)
	cmd.MarkFlagsOneRequired("key", "key-out", "signer", "hmac-key")
	cmd.MarkFlagsMutuallyExclusive("key", "key-out", "signer", "hmac-key")
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "no-passphrase")
	return cmd
}

func (o *signOptions) run(file string) error {
	if o.publicKeyOut != "" && o.keyOut == "" {
		return exit.Usagef("--public-key-out goes with --key-out")
	}
	suffix := ".sig"
	if o.hmacKey != "" {
		suffix = ".hmac"
	}
	if o.output == "" {
		if file == "-" {
			return exit.Usagef("the file is standard input: say with -o where the signature goes")
		}
		o.output = file + suffix
	}
	for _, input := range []string{file, o.hmacKey} {
		if err := o.env.Spare(input, o.output); err != nil {
			return err
		}
	}
	switch {
	case o.hmacKey != "":
		return o.mac(file)
	case o.keyOut != "":
		return o.signWithNewKey(file)
	default:
		return o.signWithKey(file)
	}
}

func (o *signOptions) signWithKey(file string) error {
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	s, err := o.one(h)
	if err != nil {
		return err
	}
	if err := refuseOtherUse(h, s.Public()); err != nil {
		return err
	}
	sig, said, err := o.sign(file, s)
	if err != nil {
		return err
	}
	return o.finish(sig, said)
}

// refuseOtherUse refuses a key that signs objects by what the home knows: its
// file may be a copy that lost the line of its purpose.
func refuseOtherUse(h *home.Home, key trust.PublicKey) error {
	if h == nil {
		return nil
	}
	purpose, err := h.UseOf(key.ID())
	if err == nil && purpose != home.ForFirmware {
		err = fmt.Errorf("sign: %w: it is %q in the home %s", signing.ErrOneUse, purpose, h.Dir())
	}
	return err
}

// signWithNewKey signs before it writes anything, so that a file that is
// refused leaves no key behind.
func (o *signOptions) signWithNewKey(file string) error {
	if o.publicKeyOut == "" {
		o.publicKeyOut = filepath.Join(filepath.Dir(o.keyOut), "public_key.pem")
	}
	for _, name := range []string{o.keyOut, o.publicKeyOut} {
		if err := RefuseExisting(name); err != nil {
			return err
		}
	}
	secret, err := o.pass.ForNewKeys("the new key")
	if errors.Is(err, passphrase.ErrNone) {
		o.env.Warn("%s is not encrypted: whoever can read the file can sign (to encrypt it: %s, --passphrase-file)", o.keyOut, passphrase.Variable)
		err = nil
	}
	if err != nil {
		return err
	}
	key, err := signing.Generate(trust.PS256)
	if err != nil {
		return err
	}
	sig, said, err := o.sign(file, newFileSigner(o.keyOut, key))
	if err != nil {
		return err
	}
	if err := key.SavePrivateKey(o.keyOut, secret); err != nil {
		return err
	}
	if err := o.env.CreateFile(o.publicKeyOut, key.Public().PEM(), 0o644); err != nil {
		// A key that has signed nothing yet, and that the next attempt would
		// have to get out of the way.
		return errors.Join(err, fsatomic.RemoveDurable(fsatomic.OS(), o.keyOut))
	}
	said.Add("private key", o.keyOut)
	said.Add("public key", o.publicKeyOut)
	return o.finish(sig, said)
}

func (o *signOptions) sign(file string, s signer) ([]byte, record.Record, error) {
	f, err := o.env.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	sig, digest, err := s.SignFirmware(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return sig, record.Record{
		{Name: "file", Value: file},
		{Name: "sha256", Value: digest},
		{Name: "signature", Value: o.output},
		{Name: "key id", Value: s.Public().ID()},
	}, nil
}

func (o *signOptions) mac(file string) error {
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	key, err := loadMACKey(o.hmacKey, h)
	if err != nil {
		return err
	}
	digest, mac, err := macFile(o.env, file, key)
	if err != nil {
		return err
	}
	return o.finish(mac, record.Record{
		{Name: "file", Value: file},
		{Name: "sha256", Value: digest},
		{Name: "mac", Value: o.output},
	})
}

// macFile reads a file once and returns its SHA-256 and its MAC.
func macFile(e *env.Env, file string, key []byte) (digest, mac []byte, err error) {
	f, err := e.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	h := sha256.New()
	mac, err = trust.BareMAC(key, tee{f, h})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return h.Sum(nil), mac, nil
}

// tee hashes what is read through it.
type tee struct {
	io.Reader
	hash.Hash
}

func (t tee) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.Hash.Write(p[:n])
	return n, err
}

// finish writes the signature and says what was done: on standard output,
// unless that is where the signature goes.
func (o *signOptions) finish(sig []byte, said record.Record) error {
	if err := o.env.WriteFile(o.output, sig, 0o644); err != nil {
		return err
	}
	if o.output == "-" {
		return o.env.PrintTo(o.env.Stderr, said)
	}
	return o.env.Print(said)
}
