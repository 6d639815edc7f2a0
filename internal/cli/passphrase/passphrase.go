// Package passphrase decides where the passphrase of a key comes from: a flag,
// the environment, or a terminal, and otherwise says that there is none.
package passphrase

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/secure-ota/secure-ota/internal/cli/secret"
	"github.com/secure-ota/secure-ota/signing"
)

// Variable is the environment variable that may hold the passphrase.
const Variable = "OTA_PASSPHRASE"

// The errors of this package that callers tell apart.
var (
	// ErrNone means that a new key needs a passphrase, or a plain word that
	// it shall have none, and nobody gave either.
	ErrNone = errors.New("no passphrase was given")
	// ErrMismatch means that the two passphrases typed in differ.
	ErrMismatch = errors.New("the two passphrases differ")
)

// maxLength bounds a passphrase, in bytes.
const maxLength = 1024

// A Source finds passphrases. Flags sets File and None.
type Source struct {
	Stdin  io.Reader           // asked if it is a terminal
	Stderr io.Writer           // where the question and warnings go
	Getenv func(string) string // of the process

	File string // --passphrase-file; "-" is Stdin
	None bool   // --no-passphrase

	read []byte // what File holds: a pipe is there only once, and there may be several keys
}

// Flags adds the flags for commands that make keys.
func (s *Source) Flags(flags *pflag.FlagSet) {
	s.FileFlag(flags)
	flags.BoolVar(&s.None, "no-passphrase", false, "write the private key unencrypted")
}

// FileFlag adds the flag for commands that only use keys.
func (s *Source) FileFlag(flags *pflag.FlagSet) {
	flags.StringVar(&s.File, "passphrase-file", "", "read the passphrase of the key from the first line of `FILE` (- is standard input)")
}

// ForKey returns the question that package signing asks when the named key
// turns out to be encrypted.
func (s *Source) ForKey(name string) signing.Passphrase {
	return func() ([]byte, error) {
		given, err := s.given()
		if err != nil || len(given) > 0 {
			return given, err
		}
		if fd, ok := secret.Terminal(s.Stdin); ok {
			return s.ask(fd, fmt.Sprintf("passphrase of %s: ", name))
		}
		return nil, signing.ErrNoPassphrase
	}
}

// ForNewKeys returns the passphrase for keys about to be made, what names them
// in words. An empty one, which leaves them unencrypted, is returned only if
// somebody said so: by flag, or at the terminal, where it is warned of. Without
// any source the error is ErrNone.
func (s *Source) ForNewKeys(what string) ([]byte, error) {
	if s.None {
		return nil, nil
	}
	given, err := s.given()
	if err != nil || len(given) > 0 {
		return given, err
	}
	fd, ok := secret.Terminal(s.Stdin)
	if !ok {
		return nil, fmt.Errorf("passphrase for %s: %w", what, ErrNone)
	}
	first, err := s.ask(fd, fmt.Sprintf("passphrase for %s (empty: not encrypted): ", what))
	if err != nil {
		return nil, err
	}
	again, err := s.ask(fd, "the same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, again) {
		return nil, fmt.Errorf("passphrase for %s: %w", what, ErrMismatch)
	}
	if len(first) == 0 {
		fmt.Fprintf(s.Stderr, "warning: %s is not encrypted: whoever can read the file can sign\n", what)
	}
	return first, nil
}

// given returns what the flag or the environment gives, nil if neither does.
func (s *Source) given() ([]byte, error) {
	if s.File == "" {
		return []byte(s.Getenv(Variable)), nil
	}
	if s.read == nil {
		line, err := s.readFile()
		if err != nil {
			return nil, fmt.Errorf("read passphrase: %w", err)
		}
		s.read = line
	}
	return s.read, nil
}

func (s *Source) readFile() (line []byte, err error) {
	var text []byte
	if s.File == "-" {
		text, err = io.ReadAll(io.LimitReader(s.Stdin, maxLength+2))
	} else {
		text, err = secret.ReadFile(s.File, maxLength+2)
	}
	if err != nil {
		return nil, err
	}
	line, _, _ = bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 || len(line) > maxLength {
		return nil, fmt.Errorf("%s: the first line has %d bytes, want 1 to %d", s.File, len(line), maxLength)
	}
	return line, nil
}

func (s *Source) ask(fd int, question string) ([]byte, error) {
	answer, err := secret.Ask(fd, s.Stderr, question)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	if len(answer) > maxLength {
		return nil, fmt.Errorf("read passphrase: %d bytes, at most %d", len(answer), maxLength)
	}
	return answer, nil
}
