// Package env is what a command knows of the world around it: its streams, its
// environment, the clock, and the flags that all commands share.
package env

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/cli/secret"
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

	printed bool // something is on Stdout
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
func (e *Env) Print(v printable) error { return e.PrintData(v, v) }

// PrintData is Print for data that has a wire form of its own: with --json it
// is that, the same as the management API's; text is for people.
func (e *Env) PrintData(data any, text printable) error {
	e.printed = true
	if e.JSON {
		return record.WriteJSON(e.Stdout, data)
	}
	if t, ok := text.(record.Table); ok && len(t) == 0 {
		e.Say("none") // or nobody would know whether anything was asked
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

// Say writes a line for people to standard error. File names, and the words of
// servers, are no more to be trusted with a terminal than objects are.
func (e *Env) Say(format string, args ...any) {
	fmt.Fprintln(e.Stderr, record.Clean(fmt.Sprintf(format, args...)))
}

// Fail says what went wrong, and what to do about it if that is known. Programs
// that ask for JSON get both as data, unless they got data already.
func (e *Env) Fail(err error, hint string) {
	e.Say("ota: %v", err)
	if hint != "" {
		e.Say("hint: %s", hint)
	}
	if e.JSON && !e.printed {
		e.Print(record.Record{{Name: "error", Value: err.Error()}, {Name: "hint", Value: hint}})
	}
}

// Warn writes a warning to standard error.
func (e *Env) Warn(format string, args ...any) { e.Say("warning: "+format, args...) }

// Open opens a file for reading; "-" is standard input.
func (e *Env) Open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.Stdin), nil
	}
	return os.Open(name)
}

// A FileError names the file that an error is about, for hints. Its words are
// those of the error, which name the file, too.
type FileError struct {
	Name string
	Err  error
}

func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

// AboutFile returns err as a FileError, nil if it is nil.
func AboutFile(name string, err error) error {
	if err == nil {
		return nil
	}
	return &FileError{name, err}
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
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", name, ErrTooLarge, max)
	}
	return data, nil
}

// WriteFile makes data the content of a file, atomically and durably; "-" is
// standard output. It is for files that may be made again; what must not be
// overwritten, such as a key, goes through CreateFile. It does not write over a
// private key (ErrPrecious).
func (e *Env) WriteFile(name string, data []byte, perm fs.FileMode) error {
	if name == "-" {
		return e.writeStdout(data)
	}
	if err := e.sparePrivateKey(name); err != nil {
		return err
	}
	return fsatomic.WriteFile(fsatomic.OS(), name, data, perm)
}

// ErrTerminal is the refusal to write binary data to a terminal.
var ErrTerminal = errors.New("binary data is not for a terminal")

func (e *Env) writeStdout(data []byte) error {
	text := strings.ReplaceAll(string(data), "\t", " ")
	if _, ok := secret.Terminal(e.Stdout); ok && record.Clean(text) != text {
		return fmt.Errorf("write to standard output: %w", ErrTerminal)
	}
	e.printed = true
	_, err := e.Stdout.Write(data)
	return err
}

// CreateFile is WriteFile for a file that must be new (fs.ErrExist).
func (e *Env) CreateFile(name string, data []byte, perm fs.FileMode) error {
	if name == "-" {
		return e.writeStdout(data)
	}
	return fsatomic.CreateFile(fsatomic.OS(), name, data, perm)
}
