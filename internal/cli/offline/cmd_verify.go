package offline

import (
	"crypto/hmac"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// maxBareSignature bounds what is read of a bare signature, in bytes: enough
// to say how long a wrong one is.
const maxBareSignature = 64 << 10

type verifyOptions struct {
	env       *env.Env
	publicKey string
	hmacKey   string
	signature string
}

func verifyCommand(e *env.Env) *cobra.Command {
	o := verifyOptions{env: e}
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify the bare signature or MAC of a file",
		Long: `Verify a bare signature: RSASSA-PSS with RSA-2048, exponent 65537, SHA-256, MGF1-SHA-256
and a salt of exactly 32 bytes. Everything else is refused, and the reason is said.

Exit codes: 0 verified, 1 refused, 2 wrong usage.`,
		Example: `  ota verify firmware.bin --public-key public_key.pem --signature firmware.bin.sig
  ota verify firmware.bin --hmac-key mac.key --signature firmware.bin.hmac`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.publicKey, "public-key", "", "the public key: a PEM `FILE` or a name in the home")
	flags.StringVar(&o.hmacKey, "hmac-key", "", "the MAC key `FILE`")
	flags.StringVar(&o.signature, "signature", "", "the signature or MAC `FILE`")
	cmd.MarkFlagRequired("signature")
	cmd.MarkFlagsOneRequired("public-key", "hmac-key")
	cmd.MarkFlagsMutuallyExclusive("public-key", "hmac-key")
	cmd.RegisterFlagCompletionFunc("public-key", completeKeys(e))
	return cmd
}

func (o *verifyOptions) run(file string) error {
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	sig, err := o.env.ReadFile(o.signature, maxBareSignature)
	if errors.Is(err, env.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", trust.ErrBareSize, err)
	}
	if err != nil {
		return fmt.Errorf("read signature: %w", err)
	}
	said := record.Record{{Name: "file", Value: file}}
	if o.hmacKey != "" {
		err = o.verifyMAC(file, h, sig, &said)
	} else {
		err = o.verifySignature(file, h, sig, &said)
	}
	said.Add("verified", err == nil)
	if err == nil {
		return o.env.Print(said)
	}
	// Programs that ask for JSON get the verdict as data, too.
	if o.env.JSON && isVerdict(err) {
		said.Add("reason", err.Error())
		return errors.Join(err, o.env.Print(said))
	}
	return err
}

// isVerdict tells a refusal from a failure to look, such as a missing file.
func isVerdict(err error) bool {
	for _, refusal := range []error{trust.ErrBadSignature, trust.ErrBadMAC, trust.ErrBareSize, trust.ErrBareKey, trust.ErrLookalike} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

func (o *verifyOptions) verifySignature(file string, h *home.Home, sig []byte, said *record.Record) error {
	key, _, err := loadPublicKey(o.env, h, o.publicKey)
	if err != nil {
		return err
	}
	f, err := o.env.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	digest, err := trust.Verifier{Key: key}.VerifyFirmware(f, sig)
	if errors.Is(err, trust.ErrBadSignature) {
		err = fmt.Errorf("%w: %w", err, diagnose(key, digest, sig))
	}
	if !digest.IsZero() {
		said.Add("sha256", digest)
	}
	said.Add("key id", key.ID())
	if err != nil {
		return fmt.Errorf("verify %s: %w", file, err)
	}
	return nil
}

func (o *verifyOptions) verifyMAC(file string, h *home.Home, mac []byte, said *record.Record) error {
	key, err := loadMACKey(o.hmacKey, h)
	if err != nil {
		return err
	}
	digest, want, err := macFile(o.env, file, key)
	if err != nil {
		return err
	}
	said.Add("sha256", manifest.Digest(digest))
	if len(mac) != len(want) {
		return fmt.Errorf("verify %s: MAC %s: %w: %d bytes, want %d", file, o.signature, trust.ErrBadMAC, len(mac), len(want))
	}
	if !hmac.Equal(mac, want) {
		return fmt.Errorf("verify %s: %w", file, trust.ErrBadMAC)
	}
	return nil
}
