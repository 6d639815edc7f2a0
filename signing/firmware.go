package signing

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrOneUse is wrapped by the refusal to sign a bare file with a key that has
// another use.
var ErrOneUse = errors.New("a key has one use, and this one signs objects")

// A FirmwareSigner makes bare firmware signatures: RSASSA-PSS with RSA-2048,
// SHA-256, MGF1-SHA-256 and salt 32 over the file's bytes, which
// trust.Verifier and `openssl dgst -verify` accept.
type FirmwareSigner struct {
	Key *Key
}

// SignFirmware reads the firmware to its end, 256 KiB at a time, and returns
// the signature and the SHA-256 of what it read.
//
// It refuses a key whose file names a purpose (ErrOneUse) and a file that
// begins like the inside of a COSE object (trust.ErrLookalike): its bare
// signature would be a valid signature of a manifest.
func (s FirmwareSigner) SignFirmware(firmware io.Reader) (sig []byte, digest manifest.Digest, err error) {
	if s.Key.Purpose != "" {
		return nil, digest, fmt.Errorf("sign firmware: %w: its purpose is %q", ErrOneUse, s.Key.Purpose)
	}
	if err := trust.CheckBareKey(s.Key.public); err != nil {
		return nil, digest, fmt.Errorf("sign firmware: %w", err)
	}
	h := sha256.New()
	if err := trust.CopyBare(h, firmware); err != nil {
		return nil, digest, fmt.Errorf("sign firmware: %w", err)
	}
	digest = manifest.Digest(h.Sum(nil))
	sig, err = s.Key.signDigest(digest)
	if err != nil {
		return nil, digest, fmt.Errorf("sign firmware: %w", err)
	}
	return sig, digest, nil
}
