package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
)

// on is a directory of a file system as Files.
type on struct{ fs fsatomic.FS }

func (o on) ReadFile(name string) ([]byte, error) { return o.fs.ReadFile("/" + name) }
func (o on) WriteFile(name string, data []byte) error {
	return fsatomic.WriteFile(o.fs, "/"+name, data, 0o600)
}

func TestValueSurvivesPowerCuts(t *testing.T) {
	old, next := bytes.Repeat([]byte("o"), 1500), bytes.Repeat([]byte("n"), 2500)
	build := func(c *crashfs.FS) {
		if err := New(on{c}, "state").Save(old); err != nil {
			t.Fatal(err)
		}
	}
	run := func(f fsatomic.FS) error {
		j := New(on{f}, "state")
		if _, err := j.Load(); err != nil {
			return err
		}
		return j.Save(next)
	}
	crashfs.Sweep(t, build, run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		got, err := New(on{c}, "state").Load()
		if err != nil || !bytes.Equal(got, next) && (acknowledged || !bytes.Equal(got, old)) {
			t.Errorf("found %.8q of %d bytes, %v", got, len(got), err)
		}
	})
}

// What was acknowledged is in both copies: the loss of either changes nothing.
func TestEitherCopyIsEnough(t *testing.T) {
	for _, lose := range []string{"/state.a", "/state.b"} {
		for name, damage := range map[string]func(*crashfs.FS){
			"missing":   func(c *crashfs.FS) { c.Remove(lose) },
			"empty":     func(c *crashfs.FS) { fsatomic.WriteFile(c, lose, nil, 0o600) },
			"of others": func(c *crashfs.FS) { fsatomic.WriteFile(c, lose, []byte(strings.Repeat("x", 100)), 0o600) },
		} {
			c := crashfs.New()
			j := New(on{c}, "state")
			for _, v := range []string{"one", "two", "three"} {
				if err := j.Save([]byte(v)); err != nil {
					t.Fatal(err)
				}
			}
			damage(c)
			got, err := New(on{c}, "state").Load()
			if err != nil || string(got) != "three" {
				t.Errorf("%s %s: %q, %v", lose, name, got, err)
			}
		}
	}
}

func TestEveryChangedBitAndEveryTruncationIsNoticed(t *testing.T) {
	frame := encode(7, []byte("a payload"))
	for bit := range 8 * len(frame) {
		bad := bytes.Clone(frame)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, _, err := decode(bad); err == nil {
			t.Errorf("bit %d", bit)
		}
	}
	for n := range len(frame) {
		if _, _, err := decode(frame[:n]); err == nil {
			t.Errorf("%d bytes", n)
		}
	}
	if _, _, err := decode(append(bytes.Clone(frame), 0)); err == nil {
		t.Error("trailing byte")
	}
}

func TestMissingIsNotDamaged(t *testing.T) {
	c := crashfs.New()
	if _, err := New(on{c}, "state").Load(); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Errorf("nothing there: %v", err)
	}
	if err := fsatomic.WriteFile(c, "/state.a", []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(on{c}, "state").Load(); !errors.Is(err, ErrDamaged) {
		t.Errorf("a torn copy alone: %v", err)
	}
}

// unreadable are Files that do not read now, as on a disk that fails or with the
// wrong permissions.
type unreadable struct{ on }

var errUnreadable = errors.New("input/output error")

func (unreadable) ReadFile(string) ([]byte, error) { return nil, errUnreadable }

func TestUnreadableIsNotDamaged(t *testing.T) {
	c := crashfs.New()
	if err := New(on{c}, "state").Save([]byte("value")); err != nil {
		t.Fatal(err)
	}
	_, err := New(unreadable{on{c}}, "state").Load()
	if !errors.Is(err, errUnreadable) || errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v: to take it for lost is to forget the floor", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(1, nil))
	f.Add(encode(1<<63, []byte("payload")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		generation, payload, err := decode(raw)
		if err == nil && !bytes.Equal(encode(generation, payload), raw) {
			t.Error("one frame, two encodings")
		}
	})
}
