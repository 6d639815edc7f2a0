package signing_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// TestMain lets this test program play the external signer too.
func TestMain(m *testing.M) {
	if role := os.Getenv("OTA_TEST_SIGNER"); role != "" {
		os.Exit(externalSigner(role))
	}
	os.Exit(m.Run())
}

func externalSigner(role string) int {
	switch role {
	case "hangs":
		time.Sleep(time.Hour)
	case "hangs with a child":
		// The child keeps our output open when we are killed.
		child, err := os.StartProcess(os.Args[0], os.Args[:1], &os.ProcAttr{
			Env: []string{"OTA_TEST_SIGNER=sleeps"}, Files: []*os.File{nil, os.Stdout, os.Stderr},
		})
		if err != nil {
			return 1
		}
		child.Wait()
	case "sleeps":
		time.Sleep(5 * time.Second)
	case "fails":
		os.Stderr.WriteString("the token is locked\nand more\n")
		return 1
	case "garbage":
		os.Stdout.Write(make([]byte, 256))
	case "nothing":
	case "floods":
		for {
			if _, err := os.Stdout.Write(make([]byte, 4096)); err != nil {
				return 0
			}
		}
	case "ignores its input":
		os.Stdin.Close()
		os.Stdout.Write(make([]byte, 256))
	default: // a private key in PEM
		return signFor(role)
	}
	return 0
}

func signFor(pem string) int {
	k, err := signing.ParsePrivateKey([]byte(pem), nil)
	if err != nil {
		return 1
	}
	message, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 1
	}
	sig, err := k.Sign(message)
	if errors.Is(err, signing.ErrNotObject) {
		sig, _, err = signing.FirmwareSigner{Key: k}.SignFirmware(bytes.NewReader(message))
	}
	if err != nil || os.Getenv("OTA_SIGNER_KEY_ID") == "" || os.Getenv("OTA_SIGNER_ALGORITHM") == "" {
		return 1
	}
	os.Stdout.Write(sig)
	return 0
}

// external is the signer of k that plays a role.
func external(t *testing.T, k *signing.Key, role string) signing.External {
	t.Helper()
	t.Setenv("OTA_TEST_SIGNER", role)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return signing.External{Command: []string{program}, Key: k.Public()}
}

func pemOf(t *testing.T, k *signing.Key) string {
	t.Helper()
	text, err := k.MarshalPEM(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExternalSignerSigns(t *testing.T) {
	for _, alg := range []trust.Algorithm{trust.PS256, trust.ESP256, trust.Ed25519} {
		k := generate(t, alg)
		if _, err := trust.SignManifest(unsignedManifest(t), external(t, k, pemOf(t, k))); err != nil {
			t.Errorf("%v: %v", alg, err)
		}
	}
	k := generate(t, trust.PS256)
	firmware := strings.Repeat("firmware", 100_000)
	sig, _, err := external(t, k, pemOf(t, k)).SignFirmware(strings.NewReader(firmware))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (trust.Verifier{Key: k.Public()}).VerifyFirmware(strings.NewReader(firmware), sig); err != nil {
		t.Error(err)
	}
}

func TestExternalSignerWithAnotherKeyIsRefused(t *testing.T) {
	k, other := generate(t, trust.PS256), fresh(t, trust.PS256)
	e := external(t, k, pemOf(t, other))
	if _, err := trust.SignManifest(unsignedManifest(t), e); !errors.Is(err, trust.ErrBadSignature) {
		t.Errorf("manifest: got %v", err)
	}
	if sig, _, err := e.SignFirmware(strings.NewReader("firmware")); !errors.Is(err, trust.ErrBadSignature) || sig != nil {
		t.Errorf("firmware: got %v", err)
	}
}

// lyingSigner answers with whatever it likes: addSignature must not trust any
// implementation of trust.Signer.
type lyingSigner struct {
	public trust.PublicKey
	answer []byte
}

func (l lyingSigner) Public() trust.PublicKey     { return l.public }
func (l lyingSigner) Sign([]byte) ([]byte, error) { return l.answer, nil }

func TestLyingSignerIsRefused(t *testing.T) {
	k := generate(t, trust.PS256)
	for _, answer := range [][]byte{nil, {1}, make([]byte, 256), make([]byte, 1<<20)} {
		if _, err := trust.SignManifest(unsignedManifest(t), lyingSigner{k.Public(), answer}); !errors.Is(err, trust.ErrBadSignature) {
			t.Errorf("%d bytes: got %v", len(answer), err)
		}
	}
	if _, err := trust.SignManifest(unsignedManifest(t), lyingSigner{}); err == nil {
		t.Error("a signer without a key signs")
	}
}

func TestExternalSignerThatAnswersGarbageIsRefused(t *testing.T) {
	k := generate(t, trust.PS256)
	for _, role := range []string{"garbage", "nothing", "ignores its input"} {
		e := external(t, k, role)
		if _, err := e.Sign(sigStructure(t, k.Public())); !errors.Is(err, trust.ErrBadSignature) {
			t.Errorf("%s: got %v", role, err)
		}
		if _, _, err := e.SignFirmware(bytes.NewReader(make([]byte, 1<<20))); err == nil {
			t.Errorf("%s: signs firmware", role)
		}
	}
	for role, want := range map[string]string{"floods": "more than", "fails": "the token is locked"} {
		_, err := external(t, k, role).Sign(sigStructure(t, k.Public()))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "and more") {
			t.Errorf("%s: got %v", role, err)
		}
	}
}

func TestExternalSignerThatNeverEndsIsGivenUp(t *testing.T) {
	k := generate(t, trust.Ed25519)
	for _, role := range []string{"hangs", "hangs with a child"} {
		e := external(t, k, role)
		e.Timeout = 200 * time.Millisecond
		start := time.Now()
		if _, err := e.Sign(sigStructure(t, k.Public())); !errors.Is(err, signing.ErrExternalTimeout) {
			t.Errorf("%s: got %v", role, err)
		}
		if spent := time.Since(start); spent > 4*time.Second {
			t.Errorf("%s: waited %v", role, spent)
		}
	}
}

func TestExternalSignerIsNotEvenStartedForWhatIsRefused(t *testing.T) {
	k := generate(t, trust.PS256)
	e := external(t, k, "hangs")
	if _, err := e.Sign([]byte("firmware")); !errors.Is(err, signing.ErrNotObject) {
		t.Errorf("got %v", err)
	}
	e.Key = generate(t, trust.Ed25519).Public()
	if _, _, err := e.SignFirmware(strings.NewReader("firmware")); !errors.Is(err, trust.ErrBareKey) {
		t.Errorf("got %v", err)
	}
	if _, err := (signing.External{Key: k.Public()}).Sign(sigStructure(t, k.Public())); err == nil {
		t.Error("signs without a command")
	}
	if _, err := (signing.External{Key: k.Public(), Command: []string{"/nonexistent"}}).Sign(sigStructure(t, k.Public())); err == nil {
		t.Error("signs without a program")
	}
}

func TestExternalSignerRefusesSigStructuresAsFirmware(t *testing.T) {
	k := generate(t, trust.PS256)
	_, _, err := external(t, k, pemOf(t, k)).SignFirmware(bytes.NewReader(sigStructure(t, k.Public())))
	if !errors.Is(err, trust.ErrLookalike) {
		t.Fatalf("got %v", err)
	}
}
