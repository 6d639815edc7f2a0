package signing

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// DefaultExternalTimeout is how long an external signer may take: long enough
// for a person to touch a token.
const DefaultExternalTimeout = 2 * time.Minute

// externalGrace is how long the output of a program that has ended, or was
// killed, is waited for: its own children may hold it open for ever.
const externalGrace = time.Second

// ErrExternalTimeout is wrapped by the error for a signer that was still
// running when its time was up.
var ErrExternalTimeout = errors.New("no answer in time")

// An External signs by running another program, for keys in a token or behind
// a signing service. The program gets the message on its standard input and
// writes the bare signature, and nothing else, to its standard output:
//
//	PS256    RSASSA-PSS, SHA-256, MGF1-SHA-256, salt 32
//	ESP256   r ‖ s, 32 bytes each
//	Ed25519  64 bytes
//
// It learns the key and algorithm from OTA_SIGNER_KEY_ID and
// OTA_SIGNER_ALGORITHM in its environment. For RSA, this is a whole signer:
//
//	openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sign key.pem
//
// It implements trust.Signer. What the program answers is verified before it
// is used. That the child inherits the environment is deliberate: tokens are
// found through it.
type External struct {
	Command []string // program and arguments; arguments must not hold secrets
	Key     trust.PublicKey
	Timeout time.Duration // for one signature; 0 means DefaultExternalTimeout
}

// Public returns the public half.
func (e External) Public() trust.PublicKey { return e.Key }

// Sign runs the program over a Sig_structure; any other message is refused
// (ErrNotObject).
func (e External) Sign(message []byte) ([]byte, error) {
	if !cose.Lookalike(message) {
		return nil, ErrNotObject
	}
	sig, err := e.run(bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	if err := e.checkAnswer(e.Key.Verify(message, sig), sig); err != nil {
		return nil, err
	}
	return sig, nil
}

// SignFirmware runs the program over a bare file and refuses one that begins
// like the inside of a COSE object (trust.ErrLookalike).
func (e External) SignFirmware(firmware io.Reader) (sig []byte, digest manifest.Digest, err error) {
	if err := trust.CheckBareKey(e.Key); err != nil {
		return nil, digest, fmt.Errorf("sign firmware: %w", err)
	}
	h := sha256.New()
	r, w := io.Pipe()
	copied := make(chan error, 1)
	go func() {
		err := trust.CopyBare(io.MultiWriter(h, w), firmware)
		w.CloseWithError(err)
		copied <- err
	}()
	sig, err = e.run(r)
	r.Close() // a program that did not read to the end leaves the copy waiting
	if copyErr := <-copied; err == nil {
		err = copyErr
	}
	if err != nil {
		return nil, digest, err
	}
	digest = manifest.Digest(h.Sum(nil))
	if err := e.checkAnswer(e.Key.VerifyDigest(digest, sig), sig); err != nil {
		return nil, digest, err
	}
	return sig, digest, nil
}

func (e External) checkAnswer(err error, sig []byte) error {
	if err != nil {
		return fmt.Errorf("external signer %s: its answer of %d bytes is not a signature by key %s: %w",
			e.Command[0], len(sig), e.Key.ID(), err)
	}
	return nil
}

func (e External) run(message io.Reader) ([]byte, error) {
	if len(e.Command) == 0 {
		return nil, errors.New("external signer: no command")
	}
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(e.Timeout, DefaultExternalTimeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, e.Command[0], e.Command[1:]...)
	cmd.Env = append(cmd.Environ(),
		"OTA_SIGNER_KEY_ID="+e.Key.ID().String(),
		"OTA_SIGNER_ALGORITHM="+e.Key.Algorithm().String())
	cmd.Stdin = message
	cmd.WaitDelay = externalGrace
	stdout, stderr := bounded{over: errFlood}, bounded{}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case stdout.full:
		err = errFlood
	case ctx.Err() != nil:
		err = errors.Join(ErrExternalTimeout, err)
	}
	if err != nil {
		return nil, fmt.Errorf("external signer %s: %w: %s", e.Command[0], err, firstLine(stderr.buf.String()))
	}
	return stdout.buf.Bytes(), nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
