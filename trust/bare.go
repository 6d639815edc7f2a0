package trust

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
)

// BareSignatureSize is the length of a bare signature, in bytes: RSA-2048.
const BareSignatureSize = 256

// bareKeyBits is the one modulus of bare signatures. Larger keys sign
// manifests, where the format says which key it was.
const bareKeyBits = 2048

// ErrLookalike is wrapped by the refusal to sign, or to trust, a bare file that
// begins like the inside of a COSE object. Its reason is ErrWrongKind.
var ErrLookalike = reason.Named("the file begins like a COSE Sig_structure or MAC_structure", ErrWrongKind)

// ErrBareKey is wrapped by the refusal of a key that cannot make bare
// signatures. Its reason is ErrInvalidField.
var ErrBareKey = reason.Named("bare signatures are RSA-PSS with a 2048-bit key", ErrInvalidField)

// ErrBareSize is wrapped by the refusal of a bare signature of a wrong length.
// Its reason is ErrMalformed.
var ErrBareSize = reason.Named("bare signature of a wrong length", ErrMalformed)

// CheckBareKey says whether a key can make bare signatures.
func CheckBareKey(k PublicKey) error {
	if k.Algorithm() != PS256 || k.Bits() != bareKeyBits {
		return fmt.Errorf("key %s is %s with %d bits: %w", k.ID(), k.Algorithm(), k.Bits(), ErrBareKey)
	}
	return nil
}

// A Verifier verifies bare firmware signatures: RSASSA-PSS with RSA-2048,
// SHA-256, MGF1-SHA-256 and a salt of exactly 32 bytes over the file's bytes,
// as `openssl dgst` makes them with rsa_pss_saltlen:32.
type Verifier struct {
	Key PublicKey
}

// VerifyFirmware reads the firmware to its end and checks the signature. It
// returns the SHA-256 of what it read. A wrong signature is ErrBadSignature.
func (v Verifier) VerifyFirmware(firmware io.Reader, sig []byte) (manifest.Digest, error) {
	if err := CheckBareKey(v.Key); err != nil {
		return manifest.Digest{}, err
	}
	if len(sig) != BareSignatureSize {
		return manifest.Digest{}, fmt.Errorf("%w: %d bytes, want %d", ErrBareSize, len(sig), BareSignatureSize)
	}
	h := sha256.New()
	if err := CopyBare(h, firmware); err != nil {
		return manifest.Digest{}, err
	}
	digest := [sha256.Size]byte(h.Sum(nil))
	return digest, v.Key.VerifyDigest(digest, sig)
}

// bareChunk is how much of a file is in memory at a time, in bytes: what the first cache holds.
const bareChunk = 32 << 10

// CopyBare streams a file that is to be signed or MAC'ed as a bare file into
// w. It refuses one that could be the inside of a COSE object (ErrLookalike)
// before w has seen a byte.
func CopyBare(w io.Writer, r io.Reader) error {
	buf := make([]byte, bareChunk)
	head, err := io.ReadAtLeast(r, buf, cose.LookalikeSize)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("read file: %w", err)
	}
	if cose.Lookalike(buf[:head]) {
		return ErrLookalike
	}
	if _, err := w.Write(buf[:head]); err != nil {
		return err
	}
	// Only Read and Write are passed on: a ReaderFrom or WriterTo would bring
	// buffers of its own.
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf)
	return err
}

// BareMAC returns the HMAC-SHA-256 of a file under a key of its own, which is
// neither a device key nor a fleet master.
func BareMAC(key []byte, r io.Reader) ([]byte, error) {
	h := hmac.New(sha256.New, key)
	if err := CopyBare(h, r); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}
