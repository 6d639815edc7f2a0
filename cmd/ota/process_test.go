//go:build unix

package main

import (
	"bytes"
	"fmt"
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

// race runs "ota" several times at once and returns what each printed, and how
// many did it.
func race(dir string, commands ...[]string) (outs []string, won int) {
	var wg sync.WaitGroup
	outs, errs := make([]string, len(commands)), make([]error, len(commands))
	for i, args := range commands {
		wg.Go(func() {
			out, err := otaCommand(dir, args...).CombinedOutput()
			outs[i], errs[i] = string(out), err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			won++
		}
	}
	return outs, won
}

// Of several that make a home in one place one does, and it is whole; one that
// is refused takes nothing of it away.
func TestConcurrentInitsMakeOneHome(t *testing.T) {
	dir := t.TempDir()
	var commands [][]string
	for i := range 4 {
		name := string(rune('a' + i))
		commands = append(commands, []string{"init", "--vendor", name, "--device-type", name, "--algorithm", "Ed25519", "--no-passphrase"})
	}
	outs, won := race(dir, commands...)
	if won != 1 {
		t.Fatalf("%d made the home, want 1:\n%s", won, strings.Join(outs, "\n"))
	}
	h, err := home.Open(filepath.Join(dir, "ota-home"))
	if err != nil {
		t.Fatal(err)
	}
	types, err := h.Types()
	if err != nil || len(types) != 1 || types[0] != h.Vendor() {
		t.Fatalf("types %v of %s: %v", types, h.Vendor(), err)
	}
	if _, err := h.Newest(types[0]); err != nil {
		t.Error(err)
	}
}

// Several publish at once, while the key is rotated: each is published under a
// number of its own or refused because a higher version was faster, no number
// is left out, and the rotation is there.
func TestConcurrentPublishesTakeTurns(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, dir, "init", "--vendor", "acme", "--device-type", "t", "--algorithm", "Ed25519", "--no-passphrase")
	commands := [][]string{{"key", "rotate", "t", "--algorithm", "Ed25519", "--no-passphrase"}}
	for i := range 4 {
		image := fmt.Sprintf("fw%d", i)
		if err := os.WriteFile(filepath.Join(dir, image), []byte(image), 0o600); err != nil {
			t.Fatal(err)
		}
		commands = append(commands, []string{"publish", image, "--device-type", "t", "--version", fmt.Sprintf("1.%d.0", i), "--key", "release-t-1"})
	}
	outs, won := race(dir, commands...)
	for _, out := range outs {
		if strings.Contains(out, "ota: ") && !strings.Contains(out, "is not above the published") {
			t.Errorf("refused for another reason: %s", out)
		}
	}
	list := mustRun(t, dir, "release", "list", "t")
	if published := strings.Count(list, " published "); published != won-1 || published == 0 {
		t.Errorf("%d are published, %d said so:\n%s", published, won-1, list)
	}
	for n := 1; n < won; n++ {
		if !strings.Contains(list, fmt.Sprintf(" 1.%d  ", n)) {
			t.Errorf("no release has number %d:\n%s", n, list)
		}
	}
	if out := mustRun(t, dir, "keyset", "list"); !strings.Contains(out, "yes") {
		t.Errorf("the rotation is lost:\n%s", out)
	}
	mustRun(t, dir, "fsck")
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
