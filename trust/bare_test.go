package trust_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"testing/iotest"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/testenv"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

var bareKey = tv.NewKey("bare")

// openssl runs the program and reports whether it said yes.
func openssl(t *testing.T, args ...string) bool {
	t.Helper()
	path := testenv.Tool(t, "openssl", "openssl")
	out, err := exec.Command(path, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("openssl %v: %v: %s", args, err, out)
	}
	return err == nil
}

// OpenSSL is the second opinion on the bare signatures of the vectors: with the
// salt of 32 bytes it takes what we take, and with the others what we refuse.
func TestOpenSSLAgreesOnBareSignatures(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	message := bytes.Repeat([]byte("firmware "), 1000)
	file, public := write("firmware.bin", message), write("public.pem", bareKey.Public().PEM())
	for _, salt := range []int{0, 20, 31, 32, 33, 222} {
		raw := bareKey.SignSalt(message, salt)
		sig := write("sig", raw)
		if !openssl(t, "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:"+strconv.Itoa(salt),
			"-verify", public, "-signature", sig, file) {
			t.Errorf("OpenSSL refuses our signature with a salt of %d bytes", salt)
		}
		digest, err := trust.Verifier{Key: bareKey.Public()}.VerifyFirmware(bytes.NewReader(message), raw)
		if (err == nil) != (salt == 32) {
			t.Errorf("salt of %d bytes: %v", salt, err)
		}
		if digest != sha256.Sum256(message) {
			t.Error("the digest is not of what was read")
		}
	}
}

func TestBareSignatureOverASigStructureIsRefused(t *testing.T) {
	obj := cose.Signed{Typ: cose.TypManifest, Payload: must(release(1, 5, "2.1.0").Encode())(t)}
	file := obj.ToBeSigned(int64(trust.PS256), bareKey.ID().KID())
	sig := must(bareKey.Sign(file))(t)
	_, err := trust.Verifier{Key: bareKey.Public()}.VerifyFirmware(bytes.NewReader(file), sig)
	if !errors.Is(err, trust.ErrLookalike) {
		t.Fatalf("got %v", err)
	}
	for _, chunk := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		if err := trust.CopyBare(io.Discard, chunk(bytes.NewReader(file))); !errors.Is(err, trust.ErrLookalike) {
			t.Errorf("in pieces: got %v", err)
		}
	}
	if _, err := trust.BareMAC([]byte("key"), bytes.NewReader([]byte("\x84\x64MAC0\x40\x40\x40"))); !errors.Is(err, trust.ErrLookalike) {
		t.Errorf("MAC: got %v", err)
	}
}

// What is refused must not have reached the hash, the pipe or the file behind.
func TestRefusedFileReachesNobody(t *testing.T) {
	var seen bytes.Buffer
	if err := trust.CopyBare(&seen, bytes.NewReader([]byte("\x85\x69Signature"))); !errors.Is(err, trust.ErrLookalike) || seen.Len() > 0 {
		t.Fatalf("%v, after %d bytes", err, seen.Len())
	}
}

func TestCopyBarePassesOnEveryByte(t *testing.T) {
	for _, size := range []int{0, 1, 63, 64, 65, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20} {
		content := bytes.Repeat([]byte{0xa5}, size)
		for _, r := range []io.Reader{bytes.NewReader(content), iotest.HalfReader(bytes.NewReader(content)), iotest.DataErrReader(bytes.NewReader(content))} {
			var got bytes.Buffer
			if err := trust.CopyBare(&got, r); err != nil || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("%d bytes: copied %d: %v", size, got.Len(), err)
			}
		}
	}
	broken := errors.New("bad sector")
	if err := trust.CopyBare(io.Discard, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if sum, err := trust.BareMAC([]byte("key"), io.MultiReader(bytes.NewReader(make([]byte, 1000)), iotest.ErrReader(broken))); !errors.Is(err, broken) || sum != nil {
		t.Errorf("a MAC over half a file: %x, %v", sum, err)
	}
}

func TestBareMACIsHMACSHA256(t *testing.T) {
	content := bytes.Repeat([]byte("firmware"), 100_000)
	h := hmac.New(sha256.New, []byte("key"))
	h.Write(content)
	if got := must(trust.BareMAC([]byte("key"), bytes.NewReader(content)))(t); !hmac.Equal(got, h.Sum(nil)) {
		t.Errorf("got %x", got)
	}
}

func TestOnlyRSA2048MakesBareSignatures(t *testing.T) {
	for _, name := range []string{"release 3072", "release p256", "release ed25519"} {
		k := tv.NewKey(name)
		sig := must(k.Sign([]byte("firmware")))(t)
		_, err := trust.Verifier{Key: k.Public()}.VerifyFirmware(bytes.NewReader([]byte("firmware")), sig)
		if !errors.Is(err, trust.ErrBareKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := (trust.Verifier{}).VerifyFirmware(bytes.NewReader(nil), make([]byte, 256)); err == nil {
		t.Error("a verifier without a key accepts")
	}
}
