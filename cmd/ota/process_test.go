//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/signing"
)

// otaCommand returns "ota" with these arguments as a process of its own.
func otaCommand(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("ota", args...) // TestMain put this binary on the PATH
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "OTA_HOME=", "OTA_PASSPHRASE=")
	return cmd
}

func mustRun(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := otaCommand(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ota %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Many processes race for one name: one makes the key, the others are refused,
// and the two halves belong together.
func TestConcurrentKeyGenerateMakesOneKey(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, dir, "init", "ota-home", "--vendor", "acme", "--roots", "0")
	const racers = 8
	var wg sync.WaitGroup
	results := make([]error, racers)
	for i := range racers {
		wg.Go(func() {
			results[i] = otaCommand(dir, "key", "generate", "k", "--purpose", "root", "--algorithm", "ESP256", "--no-passphrase").Run()
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of %d processes made the key, want 1", won, racers)
	}
	h, err := home.Open(filepath.Join(dir, "ota-home"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.LoadKey("k", nil); err != nil {
		t.Error(err)
	}
	wantNoLeftovers(t, filepath.Join(dir, "ota-home", "keys"))
}

// Two processes number releases at once: no sequence is given out twice.
func TestConcurrentManifestsShareNoSequence(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, dir, "init", "ota-home", "--vendor", "acme", "--device-type", "t", "--algorithm", "Ed25519", "--no-passphrase")
	if err := os.WriteFile(filepath.Join(dir, "firmware.bin"), []byte("firmware"), 0o600); err != nil {
		t.Fatal(err)
	}
	const racers = 8
	var wg sync.WaitGroup
	outs := make([][]byte, racers)
	for i := range racers {
		wg.Go(func() {
			name := string(rune('a'+i)) + ".manifest"
			outs[i], _ = otaCommand(dir, "manifest", "firmware.bin", "--device-type", "t", "--version", "1.0.0", "-o", name).Output()
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, out := range outs {
		_, rest, ok := bytes.Cut(out, []byte("sequence"))
		fields := bytes.Fields(rest)
		if !ok || len(fields) == 0 || seen[string(fields[0])] {
			t.Fatalf("no sequence, or one twice: %s", out)
		}
		seen[string(fields[0])] = true
	}
}

// A process killed while it makes a key leaves a whole key or none.
func TestKilledKeyGenerateNeverLeavesAHalfKey(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, dir, "init", "ota-home", "--vendor", "acme", "--roots", "0")
	keys := filepath.Join(dir, "ota-home", "keys")
	kills, whole := 30, 0
	if os.Getenv("OTA_LONG") != "" {
		kills = 1000
	}
	took := time.Duration(0)
	for i := range kills {
		name := "k" + strings.Repeat("x", i%7)
		cmd := otaCommand(dir, "key", "generate", name, "--purpose", "root", "--algorithm", "ESP256", "--no-passphrase")
		start := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // undisturbed, to know how long it takes
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			took = time.Since(start)
		} else {
			time.Sleep(took * time.Duration(i%10+1) / 10)
			cmd.Process.Kill() // SIGKILL; it may have ended already
			cmd.Wait()
		}
		whole += checkWhole(t, keys)
		if err := os.RemoveAll(keys); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d whole keys", kills, whole)
}

// checkWhole loads what is there and counts the private keys.
func checkWhole(t *testing.T, keys string) (count int) {
	t.Helper()
	private, _ := filepath.Glob(filepath.Join(keys, "*.pem"))
	for _, name := range private {
		if strings.HasSuffix(name, ".pub.pem") {
			text, err := os.ReadFile(name)
			if err == nil {
				_, _, err = home.ParsePublicText(text)
			}
			if err != nil {
				t.Errorf("half a public key: %v", err)
			}
			continue
		}
		if _, err := signing.LoadPrivateKey(name, nil); err != nil {
			t.Errorf("half a private key: %v", err)
		}
		count++
	}
	return count
}

// A passphrase appears in no output and in no file, whatever is done with it.
func TestPassphraseAppearsNowhere(t *testing.T) {
	t.Parallel() // it waits for scrypt
	const canary = "canary-7f3e91"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "firmware.bin"), []byte("firmware"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "ota-home", "--vendor", "acme", "--device-type", "t", "--roots", "1"},
		{"sign", "firmware.bin", "--key-out", "k.pem"},
		{"sign", "firmware.bin", "--key", "k.pem", "--json"},
		{"manifest", "firmware.bin", "--device-type", "t", "--version", "1.0.0", "--key", "release-t-1"},
		{"sign", "firmware.bin", "--key", "root-1"}, // refused
		{"key", "rotate", "t"},
		{"keyset", "sign", "t"},
		{"inspect", "k.pem"},
		{"key", "show", "root-1", "--json"},
	} {
		cmd := otaCommand(dir, args...)
		cmd.Env = append(cmd.Env, "OTA_PASSPHRASE="+canary)
		out, _ := cmd.CombinedOutput() // some are refused, which is the point
		if bytes.Contains(out, []byte(canary)) {
			t.Errorf("ota %s prints the passphrase", strings.Join(args, " "))
		}
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(canary)) {
			t.Errorf("%s holds the passphrase", path)
		}
		if bytes.Contains(text, []byte("BEGIN PRIVATE KEY")) {
			t.Errorf("%s holds a key that is not encrypted", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantNoLeftovers(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left over: %s", e.Name())
		}
	}
}
