package slot

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/testenv"
)

// places are the kinds of slots, all of which pass the same tests.
func places(t *testing.T) map[string]Place {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, make([]byte, 16384), 0o600); err != nil {
		t.Fatal(err)
	}
	m := map[string]Place{
		"file":             {Path: filepath.Join(t.TempDir(), "slot")},
		"bounded file":     {Path: filepath.Join(t.TempDir(), "slot"), Size: 8192},
		"device":           {Path: disk, Device: true},
		"part of a device": {Path: disk, Device: true, Offset: 4096, Size: 8192},
	}
	if dev := loopDevice(t); dev != "" {
		m["loop device"] = Place{Path: dev, Device: true, Offset: 4096, Size: 8192}
	}
	return m
}

// loopDevice makes a real block device, where the system lets us.
func loopDevice(t *testing.T) string {
	backing := filepath.Join(t.TempDir(), "backing")
	if err := os.WriteFile(backing, make([]byte, 16384), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", backing).Output()
	switch {
	case err == nil:
	case testenv.CI() && os.Getuid() == 0:
		t.Fatalf("losetup: %v: CI runs as root so that a real block device is tested", err)
	default:
		t.Log("no loop devices here: a regular file stands in for a block device")
		return ""
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { exec.Command("losetup", "--detach", dev).Run() })
	return dev
}

func TestSlots(t *testing.T) {
	image := bytes.Repeat([]byte("image "), 700)
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			s, err := p.Open(fsatomic.OS(), true)
			if err != nil {
				t.Fatal(err)
			}
			// A longer image was there before.
			for _, content := range [][]byte{bytes.Repeat([]byte("x"), 8000), image} {
				if n, err := s.WriteAt(content, 0); err != nil || n != len(content) {
					t.Fatal(n, err)
				}
				if err := s.Seal(int64(len(content))); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, err = p.Open(fsatomic.OS(), false)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got, err := io.ReadAll(io.NewSectionReader(s, 0, int64(len(image))))
			if err != nil || !bytes.Equal(got, image) {
				t.Errorf("reads %d bytes, %v", len(got), err)
			}
			size, err := s.Size()
			if want := int64(len(image)); err != nil || !p.Device && size != want || p.Device && size != s.Capacity() {
				t.Errorf("size %d, %v", size, err)
			}
		})
	}
}

func TestNothingIsWrittenOutsideASlot(t *testing.T) {
	for name, p := range places(t) {
		s, err := p.Open(fsatomic.OS(), true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteAt([]byte("x"), -1); !errors.Is(err, ErrBounds) {
			t.Errorf("%s: before: %v", name, err)
		}
		if end := s.Capacity(); end > 0 {
			if _, err := s.WriteAt([]byte("xx"), end-1); !errors.Is(err, ErrBounds) {
				t.Errorf("%s: over the end: %v", name, err)
			}
			if _, err := s.WriteAt([]byte("x"), end-1); err != nil {
				t.Errorf("%s: the last byte: %v", name, err)
			}
			if _, err := s.ReadAt(make([]byte, 2), end-1); p.Device && err != io.EOF {
				t.Errorf("%s: reads over the end: %v", name, err)
			}
		}
		s.Close()
	}
}

func TestDevicesAreNotMadeAndFit(t *testing.T) {
	dir := t.TempDir()
	if _, err := (Place{Path: filepath.Join(dir, "none"), Device: true}).Open(fsatomic.OS(), true); !Missing(err) {
		t.Errorf("a device that is not there: %v", err)
	}
	small := filepath.Join(dir, "small")
	if err := os.WriteFile(small, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []Place{{Offset: 100}, {Offset: -1}, {Size: 101}, {Offset: 50, Size: 51}} {
		p.Path, p.Device = small, true
		if _, err := p.Open(fsatomic.OS(), false); !errors.Is(err, ErrBounds) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
