package signing_test

import (
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

func secret(word string) signing.Passphrase {
	return func() ([]byte, error) { return []byte(word), nil }
}

func TestPrivateKeySavesAndLoads(t *testing.T) {
	for alg, word := range map[trust.Algorithm]string{trust.PS256: "correct horse", trust.ESP256: "", trust.Ed25519: ""} {
		k := generate(t, alg)
		k.Purpose = "release of sensor_v1"
		path := filepath.Join(t.TempDir(), "private_key.pem")
		if err := k.SavePrivateKey(path, []byte(word)); err != nil {
			t.Fatal(err)
		}
		got, err := signing.LoadPrivateKey(path, secret(word))
		if err != nil {
			t.Fatalf("%v, passphrase %q: %v", alg, word, err)
		}
		if got.Public().ID() != k.Public().ID() || got.Purpose != k.Purpose {
			t.Errorf("%v loads as another key or with purpose %q", alg, got.Purpose)
		}
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v (%v)", info.Mode(), err)
		}
		if err := k.SavePrivateKey(path, nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("overwrites a key: %v", err)
		}
	}
}

func TestEncryptedKeyNeedsItsPassphrase(t *testing.T) {
	text, err := generate(t, trust.Ed25519).MarshalPEM([]byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	asked := errors.New("no terminal")
	for name, c := range map[string]struct {
		ask  signing.Passphrase
		want error
	}{
		"wrong":     {secret("battery staple"), signing.ErrPassphrase},
		"empty":     {secret(""), signing.ErrNoPassphrase},
		"nobody":    {nil, signing.ErrNoPassphrase},
		"no answer": {func() ([]byte, error) { return nil, asked }, asked},
	} {
		if _, err := signing.ParsePrivateKey(text, c.ask); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such mode bits")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pem")
	if err := generate(t, trust.Ed25519).SavePrivateKey(path, nil); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := signing.LoadPrivateKey(path, nil); !errors.Is(err, signing.ErrPermissions) {
			t.Errorf("mode %04o: got %v", mode, err)
		}
	}
	if _, err := signing.LoadPrivateKey(dir, nil); !errors.Is(err, signing.ErrNotPrivate) && !errors.Is(err, signing.ErrPermissions) {
		t.Errorf("a directory: got %v", err)
	}
	if _, err := signing.LoadPrivateKey(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
}

func TestFilesThatAreNoPrivateKeysAreRefused(t *testing.T) {
	public := generate(t, trust.PS256).Public().PEM()
	for name, text := range map[string]string{
		"empty": "", "words": "hello", "a public key": string(public),
		"half a key": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQ==\n-----END PRIVATE KEY-----\n",
		"old encryption": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,00\n\nAAAA\n" +
			"-----END RSA PRIVATE KEY-----\n",
	} {
		if _, err := signing.ParsePrivateKey([]byte(text), secret("x")); err == nil {
			t.Errorf("%s is read as a private key", name)
		}
	}
}

func TestDamagedPEMIsNoPrivateKey(t *testing.T) {
	for _, kind := range []string{"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"} {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte{0x30, 0x03, 0x02, 0x01}})
		if _, err := signing.ParsePrivateKey(text, nil); !errors.Is(err, signing.ErrNotPrivate) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
