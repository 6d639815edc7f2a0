//go:build unix

package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Where there are few file descriptors, clients that take all the connections
// there are take none from the database and from those who were here before;
// whoever is one too many is told so, and the log says what it is.
func TestFewFileDescriptorsAreNotUsedUp(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, dir, "init", "ota-home", "--vendor", "acme", "--device-type", "t", "--algorithm", "Ed25519", "--no-passphrase")
	firmware := strings.Repeat("firmware", 1000)
	if err := os.WriteFile(filepath.Join(dir, "firmware.bin"), []byte(firmware), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, dir, "publish", "firmware.bin", "--device-type", "t", "--version", "1.0.0", "--key", "release-t-1", "--to", "ota-home/server")
	ota := otaCommand(dir, "serve", "--listen", "none", "--plain", "127.0.0.1:0", "--json")
	cmd := exec.Command("sh", append([]string{"-c", `ulimit -n 128 && exec "$0" "$@"`, ota.Path}, ota.Args[1:]...)...)
	cmd.Dir, cmd.Env = ota.Dir, ota.Env
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		io.Copy(io.Discard, out)
		cmd.Wait()
	}()
	var said struct {
		Plain string `json:"plain"`
	}
	if err := json.UnmarshalDecode(jsontext.NewDecoder(bufio.NewReader(out)), &said); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second}
	get := func(path string) error {
		resp, err := client.Get(said.Plain + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		return err
	}
	image := fmt.Sprintf("/v1/firmware/%x", sha256.Sum256([]byte(firmware)))
	if err := get(image); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(said.Plain, "http://")
	var held []net.Conn
	for range 300 {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			break
		}
		defer conn.Close()
		held = append(held, conn)
	}
	for range 5 { // on the connection from before
		if err := get(image); err != nil {
			t.Errorf("with %d other connections: %v", len(held), err)
		}
	}
	if err := mustSucceed(otaCommand(dir, "token", "list", "--data", "ota-home/server")); err != nil {
		t.Error(err)
	}
	for _, conn := range held {
		conn.Close()
	}
	client.CloseIdleConnections()
	for end := time.Now().Add(10 * time.Second); get(image) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not take connections again")
		}
	}
	text, err := os.ReadFile(log.Name())
	if err != nil || !strings.Contains(string(text), "open files") || strings.Contains(string(text), "too many open files") {
		t.Errorf("the log says: %s", text)
	}
}

func mustSucceed(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
