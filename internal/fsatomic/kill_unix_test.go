//go:build unix

package fsatomic_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// rewriteEnv makes the test binary rewrite the file it names until it is killed.
const rewriteEnv = "FSATOMIC_TEST_REWRITE"

func TestMain(m *testing.M) {
	if name := os.Getenv(rewriteEnv); name != "" {
		rewrite(name)
	}
	os.Exit(m.Run())
}

// rewrite gives the file contents that differ in every byte and in length.
func rewrite(name string) {
	for i := 0; ; i++ {
		if err := fsatomic.WriteFile(fsatomic.OS(), name, content('a'+byte(i%26), 1+(i%26)*9001), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func whole(data []byte) bool {
	return len(data) > 0 && bytes.Equal(data, content(data[0], 1+int(data[0]-'a')*9001))
}

func TestReaderSeesAWholeFileWhileWritersAreKilled(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := fsatomic.WriteFile(fsatomic.OS(), name, content('a', 1), 0o600); err != nil {
		t.Fatal(err)
	}
	const kills = 15
	reads, seen := 0, map[byte]bool{}
	for range kills {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), rewriteEnv+"="+name)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		for until := time.Now().Add(80 * time.Millisecond); time.Now().Before(until); reads++ {
			data, err := os.ReadFile(name)
			if err != nil || !whole(data) {
				t.Errorf("read %d bytes, %v", len(data), err)
				break
			}
			seen[data[0]] = true
		}
		if err := child.Process.Kill(); err != nil { // SIGKILL
			t.Error(err)
		}
		if err := child.Wait(); err == nil || child.ProcessState.Exited() {
			t.Errorf("the writer was not killed but ended: %v", err)
		}
		if data, err := os.ReadFile(name); err != nil || !whole(data) {
			t.Errorf("after the kill: %d bytes, %v", len(data), err)
		}
	}
	if len(seen) < 3 {
		t.Errorf("only %d contents seen in %d reads: the writers hardly wrote", len(seen), reads)
	}
	wantNames(t, fsatomic.OS(), dir, "f")
	t.Logf("%d kills, %d reads, %d different contents", kills, reads, len(seen))
}
