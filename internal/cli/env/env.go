// Package env is what a command knows of the world around it: its streams, its
// environment, the clock, and the flags that all commands share.
package env

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/home"
)

// Env is the world of one run of the command line. Tests make their own.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer // data and nothing else
	Stderr io.Writer // words for people
	Getenv func(string) string
	Now    func() time.Time

	HomeDir string // --home
	JSON    bool   // --json
}

// Flags adds the flags that all commands share.
func (e *Env) Flags(flags *pflag.FlagSet) {
	flags.StringVar(&e.HomeDir, "home", "", "the vendor's home `DIR` (default: $OTA_HOME, ./ota-home, or the user's configuration)")
	flags.BoolVar(&e.JSON, "json", false, "print data as JSON")
}

// Passphrase returns where passphrases come from.
func (e *Env) Passphrase() *passphrase.Source {
	return &passphrase.Source{Stdin: e.Stdin, Stderr: e.Stderr, Getenv: e.Getenv}
}

// Home opens the home (home.ErrNoHome if there is none).
func (e *Env) Home() (*home.Home, error) {
	dir, err := home.Find(e.HomeDir, e.Getenv)
	if err != nil {
		return nil, err
	}
	return home.Open(dir)
}

// HomeIfAny opens the home and returns nil if there is none and nobody named one.
func (e *Env) HomeIfAny() (*home.Home, error) {
	h, err := e.Home()
	if errors.Is(err, home.ErrNoHome) && e.HomeDir == "" && e.Getenv(home.Variable) == "" {
		return nil, nil
	}
	return h, err
}

// printable is a record or a table.
type printable interface{ WriteText(io.Writer) error }

// Print writes data to standard output, as text or, with --json, as JSON.
func (e *Env) Print(v printable) error { return e.PrintTo(e.Stdout, v) }

// PrintData is Print for data that has a wire form of its own: with --json it
// is that, the same as the management API's; text is for people.
func (e *Env) PrintData(data any, text printable) error {
	if e.JSON {
		return record.WriteJSON(e.Stdout, data)
	}
	return text.WriteText(e.Stdout)
}

// PrintTo is Print to another writer, for a command whose standard output is
// taken by a file.
func (e *Env) PrintTo(w io.Writer, v printable) error {
	if e.JSON {
		return record.WriteJSON(w, v)
	}
	return v.WriteText(w)
}

// Say writes a line for people to standard error.
func (e *Env) Say(format string, args ...any) { fmt.Fprintf(e.Stderr, format+"\n", args...) }

// Warn writes a warning to standard error.
func (e *Env) Warn(format string, args ...any) { e.Say("warning: "+format, args...) }

// Open opens a file for reading; "-" is standard input.
func (e *Env) Open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.Stdin), nil
	}
	return os.Open(name)
}

// ErrTooLarge is wrapped by the refusal of a file that is longer than anything
// the command could use.
var ErrTooLarge = errors.New("file too large")

// ReadFile reads a file of at most max bytes; "-" is standard input.
func (e *Env) ReadFile(name string, max int64) ([]byte, error) {
	f, err := e.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", name, ErrTooLarge, max)
	}
	return data, nil
}

// WriteFile makes data the content of a file, atomically and durably; "-" is
// standard output. It is for files that may be made again; what must not be
// overwritten, such as a key, goes through CreateFile.
func (e *Env) WriteFile(name string, data []byte, perm fs.FileMode) error {
	if name == "-" {
		_, err := e.Stdout.Write(data)
		return err
	}
	return fsatomic.WriteFile(fsatomic.OS(), name, data, perm)
}

// CreateFile is WriteFile for a file that must be new (fs.ErrExist).
func (e *Env) CreateFile(name string, data []byte, perm fs.FileMode) error {
	if name == "-" {
		_, err := e.Stdout.Write(data)
		return err
	}
	return fsatomic.CreateFile(fsatomic.OS(), name, data, perm)
}
