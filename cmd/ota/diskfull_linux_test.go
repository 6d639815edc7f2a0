package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// On a full disk nothing half is left, what was there is unchanged, and the
// hint says what it is. It needs a small file system, so it needs root.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a small file system is not allowed here: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	mustRun(t, dir, "init", "ota-home", "--vendor", "acme", "--roots", "0")
	if err := os.WriteFile(filepath.Join(dir, "firmware.bin"), []byte("firmware"), 0o600); err != nil {
		t.Fatal(err)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 512))
	}
	filler.Close()

	for _, args := range [][]string{
		{"sign", "firmware.bin", "--key-out", "k.pem", "--public-key-out", "p.pem"},
		{"key", "generate", "k", "--purpose", "root", "--no-passphrase"},
		{"manifest", "firmware.bin", "--device-type", "t", "--version", "1.0.0"},
		{"init", "other-home", "--vendor", "acme", "--device-type", "t", "--no-passphrase"},
		{"serve", "--data", "data", "--listen", "127.0.0.1:0"},
	} {
		out, err := otaCommand(dir, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "hint: the disk is full") {
			t.Errorf("ota %v: %v\n%s", args, err, out)
		}
	}
	for _, pattern := range []string{"*.pem", "*.sig", "*.manifest", ".ota-tmp-*", "ota-home/keys/*", "ota-home/keys/.ota-tmp-*", "other-home/*"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
