//go:build unix

package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A backup or a restore that is killed leaves what is refused, or what is
// whole; never what looks whole and is not, and never anything in the way of
// the next try.
func TestAKilledBackupOrRestoreIsNeverTakenForAWholeOne(t *testing.T) {
	t.Parallel() // it waits for processes
	kills := 6
	if os.Getenv("OTA_LONG") != "" {
		kills = 200
	}
	dir := t.TempDir()
	mustRun(t, dir, "init", "--vendor", "acme", "--device-type", "t", "--algorithm", "Ed25519", "--no-passphrase")
	for i := range 4 {
		image := make([]byte, 3<<20)
		rand.Read(image)
		if err := os.WriteFile(filepath.Join(dir, "fw"), image, 0o600); err != nil {
			t.Fatal(err)
		}
		mustRun(t, dir, "publish", "fw", "--device-type", "t", "--version", fmt.Sprintf("1.%d.0", i), "--key", "release-t-1")
	}
	start := time.Now()
	mustRun(t, dir, "backup", "good", "--no-passphrase")
	took := time.Since(start)
	whole := map[string]int{}
	for i := range kills {
		after := took * time.Duration(3*(i+1)) / time.Duration(2*kills)
		for form, name := range map[string]string{"directory": fmt.Sprintf("copy-%d", i), "tar": fmt.Sprintf("copy-%d.tar", i)} {
			killAfter(t, otaCommand(dir, "backup", name, "--no-passphrase"), after)
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				continue // killed before there was anything
			}
			if restored(t, dir, name, fmt.Sprintf("data-%d-%s", i, form)) {
				whole[form]++
			}
		}
		target := fmt.Sprintf("data-%d", i)
		killAfter(t, otaCommand(dir, "restore", "good", "--data", target), after)
		if _, err := os.Stat(filepath.Join(dir, target)); err == nil {
			whole["restore"]++
			mustRun(t, dir, "fsck", "--data", target)
		} else { // the next try is not in the way of what is left
			mustRun(t, dir, "restore", "good", "--data", target)
		}
	}
	t.Logf("%d kills each, whole: %v", kills, whole)
	mustRun(t, dir, "fsck") // the data directory did not mind
}

func killAfter(t *testing.T, cmd *exec.Cmd, after time.Duration) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	cmd.Process.Kill() // SIGKILL; it may have ended already
	cmd.Wait()
}

// restored restores what a killed backup left, and reports whether it was
// whole. If it was not, it must be refused for that and leave nothing.
func restored(t *testing.T, dir, name, target string) bool {
	t.Helper()
	out, err := otaCommand(dir, "restore", name, "--data", target).CombinedOutput()
	_, stat := os.Stat(filepath.Join(dir, target))
	switch {
	case err == nil:
		if list := mustRun(t, dir, "release", "list", "--data", target); strings.Count(list, " published ") != 4 {
			t.Errorf("%s: not everything is there:\n%s", name, list)
		}
		mustRun(t, dir, "fsck", "--data", target)
	case !bytes.Contains(out, []byte("not complete")) || stat == nil:
		t.Errorf("%s: %v, data directory: %v\n%s", name, err, stat, out)
	}
	return err == nil
}
