// Package home keeps what a vendor holds on the machines where keys live: its
// keys, the keysets of its device types, and the last release number of each.
//
//	home.json                  format and vendor
//	keys/NAME.pem              private key, PKCS#8, mode 0600; may be absent
//	keys/NAME.pub.pem          its public half, with a line that says its purpose
//	types/TYPE/N.keyset        keyset version N, signed by enough roots
//	types/TYPE/N.request       the next keyset, while it waits for signatures
//	types/TYPE/sequence.json   the last sequence given to a release
//	types/TYPE/rollback.json   releases published, approvals to go back (package rollback)
//	server.json                what "ota serve" serves, and where
//	logins.json                tokens of servers that this home publishes to, mode 0600
//	lock, publishing           held while something is changed, or published; never removed
//
// Several machines may have homes of one vendor, each with some of the private
// keys: what is public travels in requests and keysets. Nothing read from a
// home is believed because of where it lies: keysets are verified on the way
// in and again whenever they are read.
//
// Every change is one atomic file (package fsatomic) under a lock; a process
// killed at any moment leaves the state before or after it.
package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
)

// Format is the format version of home.json.
const Format = 1

// Variable is the environment variable that may name the home.
const Variable = "OTA_HOME"

// DefaultDir is the home that is used if it exists in the working directory.
const DefaultDir = "ota-home"

// The errors that callers tell apart.
var (
	ErrNoHome   = errors.New("there is no home here")
	ErrNotEmpty = errors.New("the directory is not empty")
	ErrDamaged  = errors.New("the home is damaged")
)

// Config is the content of home.json.
type Config struct {
	Format int    `json:"format"`
	Vendor string `json:"vendor"` // may be empty, which fits only devices provisioned without one
}

// A Home is an open home. Its methods may be used by several processes at once.
type Home struct {
	dir    string
	fsys   fsatomic.FS
	config Config
}

// Find returns the directory of the home: explicit if it is not empty, else
// the one OTA_HOME names, else ./ota-home if it exists, else secure-ota in the
// user's configuration directory. Whether a home is there, Open says.
func Find(explicit string, getenv func(string) string) (string, error) {
	if explicit != "" {
		return explicit, nil
	}
	if dir := getenv(Variable); dir != "" {
		return dir, nil
	}
	if _, err := os.Stat(DefaultDir); err == nil {
		return DefaultDir, nil
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return DefaultDir, nil // no $HOME, as in a container: say what is missing, and where
	}
	return filepath.Join(config, "secure-ota"), nil
}

// Open opens the home in dir. Its error wraps ErrNoHome if there is none.
func Open(dir string) (*Home, error) { return OpenFS(fsatomic.OS(), dir) }

// OpenFS is Open on another file system.
func OpenFS(fsys fsatomic.FS, dir string) (*Home, error) {
	h := &Home{dir: dir, fsys: fsys}
	err := h.readJSON("home.json", &h.config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open home %s: %w", dir, ErrNoHome)
	}
	if err == nil && h.config.Format != Format {
		err = fmt.Errorf("%w: format %d, this program knows %d", ErrDamaged, h.config.Format, Format)
	}
	if err != nil {
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	return h, nil
}

// Create makes a home in dir, which must be missing or empty, and calls fill
// to put the first things in. home.json is written last: before that, there is
// no home, and an attempt that was killed cannot be mistaken for one. One that
// fails leaves nothing, least of all private keys.
func Create(fsys fsatomic.FS, dir, vendor string, fill func(*Home) error) (*Home, error) {
	if vendor != "" {
		if err := manifest.CheckName(vendor); err != nil {
			return nil, fmt.Errorf("create home: vendor: %w", err)
		}
	}
	h := &Home{dir: dir, fsys: fsys, config: Config{Format: Format, Vendor: vendor}}
	if err := Free(fsys, dir); err != nil {
		return nil, err
	}
	if err := fsatomic.MkdirAll(fsys, dir, 0o700); err != nil {
		return nil, fmt.Errorf("create home: %w", err)
	}
	// Of two processes that found the directory empty, one makes this.
	err := fsys.Mkdir(h.path("keys"), 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w: another process makes a home there", ErrNotEmpty)
	}
	if err != nil {
		return nil, fmt.Errorf("create home %s: %w", dir, err)
	}
	if err := h.make(fill); err != nil {
		h.empty(dir)
		return nil, fmt.Errorf("create home %s: %w", dir, err)
	}
	return h, nil
}

func (h *Home) make(fill func(*Home) error) error {
	if err := fill(h); err != nil {
		return err
	}
	if err := h.SetServerConfig(DefaultServerConfig()); err != nil {
		return err
	}
	text, err := encodeJSON(h.config)
	if err != nil {
		return err
	}
	return h.create(text, 0o644, "home.json")
}

// empty removes what is in a directory, as far as that is possible: it is called
// when something else went wrong, of which the caller is told.
func (h *Home) empty(dir string) {
	entries, _ := h.fsys.ReadDir(dir)
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() {
			h.empty(name)
		}
		_ = h.fsys.Remove(name)
	}
	_ = h.fsys.SyncDir(dir)
}

// Free says whether a home can be made in dir: it must be missing or empty.
func Free(fsys fsatomic.FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create home: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("create home %s: %w", dir, ErrNotEmpty)
	}
	return nil
}

// Dir returns the home's directory.
func (h *Home) Dir() string { return h.dir }

// Vendor returns whose home it is.
func (h *Home) Vendor() string { return h.config.Vendor }

func (h *Home) path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}

// locked runs change while no other process changes the home.
func (h *Home) locked(change func() error) error { return h.holding("lock", change) }

// PublishAlone runs publish while no other process publishes from this home. It
// waits for one that does.
func (h *Home) PublishAlone(publish func() error) error { return h.holding("publishing", publish) }

// holding runs do while it alone holds a lock file. These hold nothing, so they
// are the only files not made by fsatomic.
func (h *Home) holding(name string, do func() error) error {
	if h.fsys != fsatomic.OS() {
		return do() // a file system in memory is nobody else's
	}
	unlock, err := lockedfile.MutexAt(h.path(name)).Lock()
	if err != nil {
		return fmt.Errorf("lock home: %w", err)
	}
	defer unlock()
	return do()
}

// write makes data the content of a file, making its directory if need be.
func (h *Home) write(data []byte, elem ...string) error {
	name := h.path(elem...)
	if err := fsatomic.MkdirAll(h.fsys, filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return fsatomic.WriteFile(h.fsys, name, data, 0o644)
}

// create is write for a file that must be new (fs.ErrExist).
func (h *Home) create(data []byte, perm fs.FileMode, elem ...string) error {
	name := h.path(elem...)
	if err := fsatomic.MkdirAll(h.fsys, filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return fsatomic.CreateFile(h.fsys, name, data, perm)
}

// names lists the files of a directory that end in suffix, without it. A
// directory that is missing holds none.
func (h *Home) names(suffix string, elem ...string) ([]string, error) {
	entries, err := h.fsys.ReadDir(h.path(elem...))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok {
			names = append(names, unescape(name))
		}
	}
	return names, nil
}

// readJSON strictly decodes a file: unknown members, duplicates and trailing
// data are refused.
func (h *Home) readJSON(name string, v any) error {
	text, err := h.fsys.ReadFile(h.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrDamaged, name, err)
	}
	return nil
}

func encodeJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v, jsontext.WithIndent("  "))
	return append(text, '\n'), err
}

// escape makes a name of manifest.CheckName a file name: on Windows a colon
// would name a stream of another file.
func escape(name string) string { return strings.ReplaceAll(name, ":", "%3A") }

func unescape(name string) string { return strings.ReplaceAll(name, "%3A", ":") }
