package rollback

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/version"
)

// stateFormat is the format version of the state file.
const stateFormat = 1

// A stateFile is what stands in the file. The format is no decoration: without
// it "{}" would be a state, and that of a device which may go anywhere.
type stateFile struct {
	Format int `json:"format"`
	State
}

// A Protection keeps a State in a file. Every change is durable before the
// method returns. A change that cannot be stored did not happen: the Protection
// goes on with the old State, and so does whoever opens the file next, unless
// the failure was that of the very last step, making the new name durable.
// It is safe for concurrent use within one process.
type Protection struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	path string
	fsys fsatomic.FS

	mu    sync.Mutex
	state State
}

// Open reads the state at path; a file that does not exist is the zero State.
// A file that cannot be read or parsed is an error: to forget the history
// would be to allow every rollback.
func Open(path string) (*Protection, error) { return OpenFS(fsatomic.OS(), path) }

// OpenFS is Open on another file system.
func OpenFS(fsys fsatomic.FS, path string) (*Protection, error) {
	p := &Protection{path: path, fsys: fsys}
	raw, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open rollback state: %w", err)
	}
	var file stateFile
	if err := json.Unmarshal(raw, &file, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("open rollback state %s: %w", path, err)
	}
	if file.Format != stateFormat {
		return nil, fmt.Errorf("open rollback state %s: format %d, want %d", path, file.Format, stateFormat)
	}
	p.state = file.State
	return p, nil
}

// State returns a copy of the state.
func (p *Protection) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.clone()
}

// History returns the confirmed releases, oldest first.
func (p *Protection) History() []Entry { return p.State().History }

// MinimumVersion returns the version below which nothing is approved.
func (p *Protection) MinimumVersion() version.Version { return p.State().MinimumVersion }

// Check says whether the device may install m; see State.Check.
func (p *Protection) Check(m *manifest.Manifest, d Device) error {
	s := p.State()
	return s.Check(m, d)
}

// CheckReturn says whether the device may go back by itself to the retained
// image; see State.CheckReturn.
func (p *Protection) CheckReturn(retained Entry, keysetFloor uint32) error {
	s := p.State()
	return s.CheckReturn(retained, keysetFloor)
}

// RecordVersionUpdate notes a confirmed release; see State.RecordVersionUpdate.
func (p *Protection) RecordVersionUpdate(e Entry) error {
	return p.change(func(s *State) error { s.RecordVersionUpdate(e, p.now()); return nil })
}

// RecordReturn notes that the device went back by itself; see
// State.RecordReturn.
func (p *Protection) RecordReturn(e Entry) error {
	return p.change(func(s *State) error { s.RecordReturn(e); return nil })
}

// Reject remembers an image that is not to be tried again; see State.Reject.
func (p *Protection) Reject(image manifest.Digest) error {
	return p.change(func(s *State) error { s.Reject(image); return nil })
}

// RaiseMinimum raises the minimum version; see State.RaiseMinimum.
func (p *Protection) RaiseMinimum(v version.Version) error {
	return p.change(func(s *State) error { return s.RaiseMinimum(v) })
}

// AllowRollbackTo records an approval; see State.AllowRollbackTo.
func (p *Protection) AllowRollbackTo(v version.Version, by, why string, keysetFloor uint32) (permit Permit, err error) {
	err = p.change(func(s *State) error {
		permit, err = s.AllowRollbackTo(v, by, why, keysetFloor, p.now())
		return err
	})
	return permit, err
}

func (p *Protection) change(f func(*State) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.state.clone()
	if err := f(&next); err != nil {
		return err
	}
	raw, err := json.Marshal(stateFile{stateFormat, next}, jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("store rollback state: %w", err)
	}
	if err := fsatomic.WriteFile(p.fsys, p.path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("store rollback state: %w", err)
	}
	p.state = next
	return nil
}

func (p *Protection) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// clone copies a State so deeply that neither copy sees the other change.
func (s *State) clone() State {
	c := *s
	c.History = append([]Entry(nil), s.History...)
	c.Rejected = append([]manifest.Digest(nil), s.Rejected...)
	c.Permits = append([]Permit(nil), s.Permits...)
	return c
}
