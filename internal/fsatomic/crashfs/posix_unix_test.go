//go:build unix

package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// A model that behaves unlike a real file system proves nothing. Here both do the
// same random operations and must give the same answers and the same files.
func TestBehavesLikeTheRealFileSystem(t *testing.T) {
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		root := filepath.Join(base, fmt.Sprint(runs), "root") // below another, as ".." may lead out of it
		model := New()
		must(t, os.MkdirAll(root, 0o700), model.Mkdir("/root", 0o700))
		name := rapid.SampledFrom([]string{"/a", "/b", "/d", "/d/a", "/d/e", "/l", "/l/a"})
		target := rapid.SampledFrom([]string{"a", "d", "l", "d/a", "../d", "gone"})
		both := func(what string, do func(f fsatomic.FS, root string) (string, error)) {
			gotReal, errReal := do(fsatomic.OS(), root)
			gotModel, errModel := do(model, "/root")
			if gotReal != gotModel || class(errReal) != class(errModel) {
				t.Fatalf("%s: really %q, %v; here %q, %v", what, gotReal, errReal, gotModel, errModel)
			}
		}
		two := func(op string, do func(f fsatomic.FS, old, new string) error) func(*rapid.T) {
			return func(t *rapid.T) {
				x, y := name.Draw(t, "old"), name.Draw(t, "new")
				both(op+" "+x+" "+y, func(f fsatomic.FS, root string) (string, error) { return "", do(f, root+x, root+y) })
			}
		}
		one := func(op string, do func(f fsatomic.FS, name string) (string, error)) func(*rapid.T) {
			return func(t *rapid.T) {
				x := name.Draw(t, "name")
				both(op+" "+x, func(f fsatomic.FS, root string) (string, error) { return do(f, root+x) })
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"rename":   two("rename", fsatomic.FS.Rename),
			"link":     two("link", linkIfThere),
			"remove":   one("remove", func(f fsatomic.FS, n string) (string, error) { return "", f.Remove(n) }),
			"mkdir":    one("mkdir", func(f fsatomic.FS, n string) (string, error) { return "", f.Mkdir(n, 0o700) }),
			"syncdir":  one("syncdir", func(f fsatomic.FS, n string) (string, error) { return "", syncIfDir(f, n) }),
			"readlink": one("readlink", fsatomic.FS.Readlink),
			"symlink": func(t *rapid.T) {
				to, x := target.Draw(t, "target"), name.Draw(t, "name")
				both("symlink "+to+" "+x, func(f fsatomic.FS, root string) (string, error) { return "", f.Symlink(to, root+x) })
			},
			"file": func(t *rapid.T) {
				x, s := name.Draw(t, "name"), drawSession(t)
				both(fmt.Sprintf("file %s %+v", x, s), func(f fsatomic.FS, root string) (string, error) { return s.run(f, root+x) })
			},
			"": func(t *rapid.T) {
				for _, x := range []string{"/", "/a", "/b", "/d", "/d/a", "/d/e", "/l", "/l/a"} {
					both("look at "+x, func(f fsatomic.FS, root string) (string, error) { return look(f, root+x) })
				}
			},
		})
	})
}

// class is what callers can tell about an error.
func class(err error) string {
	for _, known := range []error{fs.ErrExist, fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.ELOOP, io.EOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "other"
	}
	return ""
}

// syncIfDir leaves out files: on them SyncDir is a misuse that a real system may accept.
func syncIfDir(f fsatomic.FS, name string) error {
	if info, err := f.Stat(name); err == nil && !info.IsDir() {
		return nil
	}
	return f.SyncDir(name)
}

// linkIfThere leaves out links to nothing: when the new name is wrong, too, either error is right.
func linkIfThere(f fsatomic.FS, old, new string) error {
	if _, err := f.Stat(old); err != nil {
		return nil
	}
	return f.Link(old, new)
}

// look describes what a name leads to.
func look(f fsatomic.FS, name string) (string, error) {
	info, err := f.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		data, err := f.ReadFile(name)
		return fmt.Sprintf("%v %d %s", info.Mode(), info.Size(), runs(data)), err
	}
	entries, err := f.ReadDir(name)
	var list strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&list, "%s %v ", e.Name(), e.Type())
	}
	return list.String(), err
}

// runs describes data as runs of equal bytes, to be read by people.
func runs(data []byte) string {
	var list strings.Builder
	for len(data) > 0 {
		rest := bytes.TrimLeft(data, string(data[:1]))
		fmt.Fprintf(&list, "%d*%q ", len(data)-len(rest), data[0])
		data = rest
	}
	return list.String()
}

// session is what one holder of an open file does.
type session struct {
	flag   int
	steps  []string
	amount []int
}

func drawSession(t *rapid.T) session {
	s := session{flag: rapid.SampledFrom([]int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR}).Draw(t, "access")}
	for _, bit := range []int{os.O_CREATE, os.O_EXCL, os.O_APPEND, os.O_TRUNC} {
		if rapid.Bool().Draw(t, "flag") {
			s.flag |= bit
		}
	}
	if s.flag&os.O_CREATE == 0 {
		s.flag &^= os.O_EXCL // means nothing without
	}
	if s.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		s.flag &^= os.O_TRUNC // undefined by POSIX
	}
	steps := rapid.SampledFrom([]string{"write", "writeat", "read", "readat", "seek", "seekend", "truncate", "sync", "size"})
	s.steps = rapid.SliceOfN(steps, 0, 4).Draw(t, "steps")
	s.amount = rapid.SliceOfN(rapid.IntRange(1, 1200), len(s.steps), len(s.steps)).Draw(t, "amount")
	return s
}

func (s session) run(f fsatomic.FS, name string) (string, error) {
	h, err := f.OpenFile(name, s.flag, 0o600)
	if err != nil {
		return "", err
	}
	defer h.Close()
	if info, err := h.Stat(); err != nil || info.IsDir() {
		return "", err // seeking in a directory is undefined
	}
	var log strings.Builder
	for i, step := range s.steps {
		n, err := s.step(h, step, s.amount[i])
		fmt.Fprintf(&log, "%s %d %s; ", step, n, class(err))
	}
	return log.String(), nil
}

func (s session) step(h fsatomic.File, step string, amount int) (int64, error) {
	buf := []byte(fill('a'+byte(amount%26), amount))
	var n int
	var err error
	switch step {
	case "write":
		n, err = h.Write(buf)
	case "writeat":
		n, err = h.WriteAt(buf, int64(amount))
	case "read":
		n, err = h.Read(buf)
	case "readat":
		n, err = h.ReadAt(buf, int64(amount/2))
	case "seek":
		return h.Seek(int64(amount), io.SeekStart)
	case "seekend":
		return h.Seek(int64(-amount/4), io.SeekEnd)
	case "truncate":
		err = h.Truncate(int64(amount))
	case "sync":
		err = h.Sync()
	case "size":
		var info fs.FileInfo
		if info, err = h.Stat(); err == nil {
			n = int(info.Size())
		}
	}
	return int64(n), err
}
