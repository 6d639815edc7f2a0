package crashfs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

func must(t interface {
	Helper()
	Fatal(...any)
}, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, f *FS, name string, flag int) fsatomic.File {
	t.Helper()
	h, err := f.OpenFile(name, flag, 0o600)
	must(t, err)
	return h
}

func write(t testing.TB, h fsatomic.File, data []byte) {
	t.Helper()
	_, err := h.Write(data)
	must(t, err)
}

// outcomes are all contents of name that reboots can find, with "absent" for none.
func outcomes(t testing.TB, f *FS, name string, mode Mode, seeds uint64) []string {
	t.Helper()
	var found []string
	for seed := range seeds {
		data, err := f.Reboot(mode, seed).ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			data = []byte("absent")
		} else {
			must(t, err)
		}
		if !slices.Contains(found, string(data)) {
			found = append(found, string(data))
		}
	}
	slices.Sort(found)
	return found
}

func wantOutcomes(t *testing.T, f *FS, name string, mode Mode, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := outcomes(t, f, name, mode, 300); !slices.Equal(got, want) {
		t.Errorf("%v: %s may be found as %.20q, want %.20q", mode, name, got, want)
	}
}

func fill(b byte, n int) string { return string(bytes.Repeat([]byte{b}, n)) }

func TestUnsyncedDataIsLostKeptTornOrZeros(t *testing.T) {
	f := New()
	write(t, open(t, f, "/f", os.O_RDWR|os.O_CREATE), []byte(fill('o', 700)))
	f.Settle()
	h := open(t, f, "/f", os.O_RDWR)
	write(t, h, []byte(fill('n', 1300)))

	before, after := fill('o', 700), fill('n', 1300)
	one, two := fill('n', 512)+fill('o', 188), fill('n', 1024)
	wantOutcomes(t, f, "/f", Lost, before)
	wantOutcomes(t, f, "/f", NamesOnly, before)
	wantOutcomes(t, f, "/f", Kept, after)
	wantOutcomes(t, f, "/f", DataOnly, after)
	wantOutcomes(t, f, "/f", Zeros, fill(0, 1300))
	wantOutcomes(t, f, "/f", Prefix, before, one, two, after)
	got := outcomes(t, f, "/f", Scattered, 300)
	for _, want := range []string{before, one, two, after, fill(0, 1300), fill('o', 512) + fill('n', 512), one + fill(0, 324) + fill('n', 276)} {
		if !slices.Contains(got, want) {
			t.Errorf("Scattered never leaves %d bytes %.600q", len(want), want)
		}
	}

	must(t, h.Sync())
	for _, mode := range Modes() {
		wantOutcomes(t, f, "/f", mode, after)
	}
}

func TestUnsyncedTruncateMayBeLost(t *testing.T) {
	f := New()
	write(t, open(t, f, "/f", os.O_RDWR|os.O_CREATE), []byte("content"))
	f.Settle()
	must(t, open(t, f, "/f", os.O_RDWR).Truncate(3))
	wantOutcomes(t, f, "/f", Lost, "content")
	wantOutcomes(t, f, "/f", Kept, "con")
	wantOutcomes(t, f, "/f", Scattered, "con", "content")
}

func TestASyncedFileStillNeedsItsDirectorySynced(t *testing.T) {
	f := New()
	h := open(t, f, "/f", os.O_RDWR|os.O_CREATE)
	write(t, h, []byte("x"))
	must(t, h.Sync())
	wantOutcomes(t, f, "/f", Lost, "absent")
	wantOutcomes(t, f, "/f", DataOnly, "absent")
	wantOutcomes(t, f, "/f", Kept, "x")
	wantOutcomes(t, f, "/f", Scattered, "absent", "x")
	must(t, f.SyncDir("/"))
	wantOutcomes(t, f, "/f", Lost, "x")
}

func TestASyncedDirectoryDoesNotSyncItsFiles(t *testing.T) {
	f := New()
	write(t, open(t, f, "/f", os.O_RDWR|os.O_CREATE), []byte("x"))
	must(t, f.SyncDir("/"))
	wantOutcomes(t, f, "/f", Lost, "")
	wantOutcomes(t, f, "/f", Scattered, "", "x", "\x00")
}

func TestRenameIsAtomicAndOthersAreIndependent(t *testing.T) {
	f := New()
	for _, name := range []string{"/a", "/b", "/c"} {
		write(t, open(t, f, name, os.O_RDWR|os.O_CREATE), []byte(name))
	}
	must(t, f.Mkdir("/d", 0o700))
	f.Settle()
	must(t, f.Rename("/a", "/b"), f.Remove("/c"))
	seen := map[string]bool{}
	for seed := range uint64(100) {
		c := f.Reboot(Scattered, seed)
		at := func(name string) string { data, _ := c.ReadFile(name); return string(data) }
		state := at("/a") + "," + at("/b") + "," + at("/c")
		seen[state] = true
	}
	for _, want := range []string{"/a,/b,/c", ",/a,/c", "/a,/b,", ",/a,"} {
		if !seen[want] {
			t.Errorf("never found %q", want)
		}
		delete(seen, want)
	}
	if len(seen) > 0 {
		t.Errorf("a rename was torn: %v", seen)
	}
}

func TestRenameBetweenDirectoriesNeedsBothSynced(t *testing.T) {
	f := New()
	write(t, open(t, f, "/f", os.O_RDWR|os.O_CREATE), []byte("x"))
	must(t, f.Mkdir("/d", 0o700))
	f.Settle()
	must(t, f.Rename("/f", "/d/f"), f.SyncDir("/d"))
	wantOutcomes(t, f, "/f", Lost, "x")
	must(t, f.SyncDir("/"))
	wantOutcomes(t, f, "/f", Lost, "absent")
	wantOutcomes(t, f, "/d/f", Lost, "x")
}

// An older change that becomes durable late must not undo a newer one.
func TestLateSyncKeepsTheOrderOfChanges(t *testing.T) {
	f := New()
	for _, name := range []string{"/old", "/new"} {
		write(t, open(t, f, name, os.O_RDWR|os.O_CREATE), []byte(name))
	}
	must(t, f.Mkdir("/d", 0o700), f.Rename("/new", "/d/new"))
	f.Settle()
	must(t, f.Rename("/old", "/d/f"), f.Rename("/d/new", "/d/f"), f.SyncDir("/d"))
	wantOutcomes(t, f, "/d/f", Lost, "/new")
	wantOutcomes(t, f, "/old", Lost, "/old")
	must(t, f.SyncDir("/"))
	wantOutcomes(t, f, "/d/f", Lost, "/new")
	wantOutcomes(t, f, "/old", Lost, "absent")
}

func TestPrefixKeepsTheOldestDirectoryChanges(t *testing.T) {
	f := New()
	must(t, f.Mkdir("/a", 0o700), f.Mkdir("/b", 0o700), f.Mkdir("/c", 0o700))
	counts := map[int]bool{}
	for seed := range uint64(100) {
		entries, err := f.Reboot(Prefix, seed).ReadDir("/")
		must(t, err)
		for i, e := range entries {
			if want := string(rune('a' + i)); e.Name() != want {
				t.Fatalf("seed %d: found %v", seed, entries)
			}
		}
		counts[len(entries)] = true
	}
	if len(counts) != 4 {
		t.Errorf("found %v directories, want each of 0 to 3", counts)
	}
}

func TestNothingChangesAfterTheCrash(t *testing.T) {
	for cut, want := range map[Cut]string{Before: "", After: "second"} {
		f := New()
		h := open(t, f, "/f", os.O_RDWR|os.O_CREATE)
		f.Settle()
		f.CrashAt(1, cut, 0)
		for _, text := range []string{"second", "third"} {
			if _, err := h.Write([]byte(text)); !errors.Is(err, ErrCrash) {
				t.Errorf("write: %v", err)
			}
		}
		_, openErr := f.OpenFile("/absent", os.O_RDONLY, 0)
		_, readErr := f.ReadFile("/f")
		for _, err := range []error{openErr, readErr, h.Sync(), h.Close(), f.Remove("/f"), f.SyncDir("/"), f.Mkdir("/d", 0)} {
			if !errors.Is(err, ErrCrash) {
				t.Errorf("after the crash: %v", err)
			}
		}
		if !f.Crashed() || f.Ops() != 1 {
			t.Errorf("crashed %t, after %d operations", f.Crashed(), f.Ops())
		}
		wantOutcomes(t, f, "/f", Kept, want)
		if after := f.Reboot(Lost, 0); after.Crashed() || after.Ops() != 0 {
			t.Error("the rebooted file system is not fresh")
		}
	}
}

func TestACutInASyncLeavesPartDurable(t *testing.T) {
	found := map[string]bool{}
	for seed := range uint64(100) {
		f := New()
		h := open(t, f, "/f", os.O_RDWR|os.O_CREATE)
		must(t, f.SyncDir("/"))
		write(t, h, []byte(fill('n', 1024)))
		f.CrashAt(f.Ops()+1, During, seed)
		if err := h.Sync(); !errors.Is(err, ErrCrash) {
			t.Fatal(err)
		}
		for _, state := range outcomes(t, f, "/f", Lost, 1) {
			found[state] = true
		}
	}
	for _, want := range []string{"", fill('n', 512), fill(0, 512) + fill('n', 512), fill('n', 1024)} {
		if !found[want] {
			t.Errorf("never found %d bytes %.20q", len(want), want)
		}
	}
}

func TestFailAtFailsOnceAndLifeGoesOn(t *testing.T) {
	f := New()
	h := open(t, f, "/f", os.O_RDWR|os.O_CREATE)
	f.FailAt(2, syscall.ENOSPC)
	if n, err := h.Write([]byte("abcdef")); n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d, %v", n, err)
	}
	write(t, h, []byte("def"))
	f.FailReadAt(f.Reads()+1, syscall.EIO)
	if _, err := f.ReadFile("/f"); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if data, err := f.ReadFile("/f"); err != nil || string(data) != "abcdef" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestAFailedSyncDropsDataAndTheNextOneLies(t *testing.T) {
	f := New()
	h := open(t, f, "/f", os.O_RDWR|os.O_CREATE)
	must(t, f.SyncDir("/"))
	write(t, h, []byte("data"))
	f.FailAt(f.Ops()+1, syscall.EIO)
	if err := h.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	must(t, h.Sync())
	if data, err := f.ReadFile("/f"); err != nil || string(data) != "data" {
		t.Errorf("visible are %q, %v", data, err)
	}
	for _, mode := range Modes() {
		wantOutcomes(t, f, "/f", mode, "\x00\x00\x00\x00")
	}
}

func TestRebootIsDeterministic(t *testing.T) {
	build := func() *FS {
		f := New()
		for _, name := range []string{"/a", "/b", "/c", "/d", "/e"} {
			write(t, open(t, f, name, os.O_RDWR|os.O_CREATE), []byte(fill(name[1], 3000)))
		}
		return f
	}
	for seed := range uint64(20) {
		one, two := build().Reboot(Scattered, seed), build().Reboot(Scattered, seed)
		for _, name := range []string{"/a", "/b", "/c", "/d", "/e"} {
			x, errX := one.ReadFile(name)
			y, errY := two.ReadFile(name)
			if !bytes.Equal(x, y) || (errX == nil) != (errY == nil) {
				t.Errorf("seed %d: %s differs", seed, name)
			}
		}
	}
}
