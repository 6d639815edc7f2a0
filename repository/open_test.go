package repository

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

func TestOpenSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		want error
		hint string
	}{
		"missing":        {filepath.Join(t.TempDir(), "none"), ErrMissing, "correct the storage path"},
		"a file":         {file, fs.ErrInvalid, "not a directory"},
		"below a file":   {filepath.Join(file, "x"), errAny, ""},
		"open to others": {withMode(t, "", 0o777), ErrTooOpen, "chmod go-w"},
		"open images":    {withMode(t, BlobsName, 0o770), ErrTooOpen, "chmod go-w"},
		"open secrets":   {withMode(t, SecretsName, 0o750), ErrTooOpen, "chmod go="},
		"open database":  {withMode(t, DatabaseName, 0o644), ErrTooOpen, "chmod go="},
		"no database":    {damaged(t), ErrDamaged, ""},
	} {
		if runtime.GOOS == "windows" && c.want == ErrTooOpen {
			continue
		}
		r, err := Open(t.Context(), Config{Dir: c.dir})
		if err == nil {
			r.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		if c.want != errAny {
			wantErr(t, err, c.want)
		}
		if !strings.Contains(err.Error(), c.hint) || !strings.Contains(err.Error(), c.dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// withMode returns a repository of which one file has another mode.
func withMode(t *testing.T, name string, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := openDirAndClose(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

func damaged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, DatabaseName), []byte(strings.Repeat("no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenRefusesADirectoryItMayNotWriteTo(t *testing.T) {
	if !testenv.Unprivileged(t) {
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{Dir: dir})
	wantErr(t, err, ErrPermission)
}

func TestOpenMakesTheDirectoryOnlyWhenAsked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	r, err := Open(t.Context(), Config{Dir: dir, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, name := range []string{"", SecretsName, BlobsName} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if r.Dir() != dir {
		t.Error(r.Dir())
	}
	wantSound(t, r)
}

func TestAFullQuotaIsAFullDisk(t *testing.T) {
	v := newVendor("sensor_v1")
	r, err := Open(t.Context(), Config{Dir: t.TempDir(), Quota: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.AddKeyset(t.Context(), alice, v.keyset(1)); err != nil {
		t.Fatal(err)
	}
	b, image := v.release(draft{number: 1, version: "1.0.0"})
	_, err = r.AddFirmware(t.Context(), alice, b, strings.NewReader(string(image)))
	wantErr(t, err, ErrFull)
	if !strings.Contains(err.Error(), "free disk space") {
		t.Error(err)
	}
	wantReleases(t, r, "sensor_v1")
}

func openDirAndClose(dir string) error {
	r, err := Open(ctx(), Config{Dir: dir})
	if err != nil {
		return err
	}
	return r.Close()
}
