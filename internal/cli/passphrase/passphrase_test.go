package passphrase

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cli/secret"
	"github.com/secure-ota/secure-ota/signing"
)

func source(env string) *Source {
	return &Source{Stdin: strings.NewReader("typed\n"), Stderr: &strings.Builder{}, Getenv: func(name string) string {
		if name == Variable {
			return env
		}
		return ""
	}}
}

func TestFlagThenEnvironmentThenNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte("from file\r\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := source("from env")
	s.File = file
	if got, err := s.ForNewKeys("k"); string(got) != "from file" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := source("from env").ForKey("k")(); string(got) != "from env" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	s = source("from env")
	s.None = true
	if got, err := s.ForNewKeys("k"); len(got) != 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// Standard input that is no terminal is never read for a passphrase: it may be
// the firmware.
func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	s := source("")
	if _, err := s.ForNewKeys("k"); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if _, err := s.ForKey("k")(); !errors.Is(err, signing.ErrNoPassphrase) {
		t.Error(err)
	}
	if rest, _ := s.Stdin.(*strings.Reader).ReadByte(); rest != 't' {
		t.Error("standard input was read")
	}
}

func TestPassphraseFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "empty line": "\nx\n", "long": strings.Repeat("x", maxLength+1)} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s := source("")
		s.File = file
		if got, err := s.ForKey("k")(); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	file := filepath.Join(dir, "open")
	if err := os.WriteFile(file, []byte("x\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	s := source("")
	s.File = file
	if _, err := s.ForKey("k")(); !errors.Is(err, secret.ErrPermissions) {
		t.Error(err)
	}
}
