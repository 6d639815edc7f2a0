package signing_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// openssl runs the program, which must succeed, and returns what it wrote.
func openssl(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	program := testenv.Tool(t, "openssl", "openssl")
	cmd := exec.Command(program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v", args, err)
	}
	return out
}

// OpenSSL signs, we verify: with a salt of 32 bytes and no other.
func TestSignaturesOfOpenSSLVerifyUnderThePolicy(t *testing.T) {
	k := generate(t, trust.PS256)
	path := filepath.Join(t.TempDir(), "private_key.pem")
	if err := k.SavePrivateKey(path, nil); err != nil {
		t.Fatal(err)
	}
	firmware := bytes.Repeat([]byte("firmware "), 10_000)
	pss := []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt"}
	for name, c := range map[string]struct {
		opts []string
		ok   bool
	}{
		"salt of 32 bytes":    {append(pss, "rsa_pss_saltlen:32"), true},
		"salt of the digest":  {append(pss, "rsa_pss_saltlen:digest"), true},
		"salt of 20 bytes":    {append(pss, "rsa_pss_saltlen:20"), false},
		"no salt":             {append(pss, "rsa_pss_saltlen:0"), false},
		"the longest salt":    {append(pss, "rsa_pss_saltlen:max"), false},
		"MGF1 with SHA-1":     {append(pss, "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha1"), false},
		"PKCS #1 version 1.5": {nil, false},
	} {
		args := append([]string{"dgst", "-sha256", "-sign", path}, c.opts...)
		sig := openssl(t, firmware, args...)
		_, err := trust.Verifier{Key: k.Public()}.VerifyFirmware(bytes.NewReader(firmware), sig)
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, trust.ErrBadSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sha512 := openssl(t, firmware, "dgst", "-sha512", "-sign", path, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
	if _, err := (trust.Verifier{Key: k.Public()}).VerifyFirmware(bytes.NewReader(firmware), sha512); !errors.Is(err, trust.ErrBadSignature) {
		t.Errorf("SHA-512: %v", err)
	}
}

// What OpenSSL writes, in the forms people have, and OpenSSL reads ours.
func TestKeysGoBackAndForthWithOpenSSL(t *testing.T) {
	rsa := openssl(t, nil, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	for name, text := range map[string][]byte{
		"PKCS#8":                rsa,
		"PKCS#1":                openssl(t, rsa, "rsa", "-traditional"),
		"PKCS#8, scrypt":        openssl(t, rsa, "pkcs8", "-topk8", "-scrypt", "-passout", "pass:word"),
		"PKCS#8, PBKDF2":        openssl(t, rsa, "pkcs8", "-topk8", "-v2", "aes-128-cbc", "-passout", "pass:word"),
		"PKCS#8, PBKDF2, SHA-1": openssl(t, rsa, "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1", "-passout", "pass:word"),
		"EC with parameters":    openssl(t, nil, "ecparam", "-name", "prime256v1", "-genkey"),
		"Ed25519":               openssl(t, nil, "genpkey", "-algorithm", "ed25519"),
	} {
		if _, err := signing.ParsePrivateKey(text, secret("word")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string][]byte{
		"PBKDF2 with SHA-512": openssl(t, rsa, "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-passout", "pass:word"),
		"triple DES":          openssl(t, rsa, "pkcs8", "-topk8", "-v2", "des3", "-passout", "pass:word"),
	} {
		if _, err := signing.ParsePrivateKey(text, secret("word")); !errors.Is(err, signing.ErrNotPrivate) || !strings.Contains(err.Error(), "openssl pkcs8") {
			t.Errorf("%s: got %v, want a refusal that says how to convert it", name, err)
		}
	}
	ours, err := generate(t, trust.PS256).MarshalPEM([]byte("word"))
	if err != nil {
		t.Fatal(err)
	}
	openssl(t, ours, "pkey", "-check", "-noout", "-passin", "pass:word")
}
