//go:build unix

package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/gateway"
	"github.com/secure-ota/secure-ota/otatest"
)

// askForAKey is a frame of docs/spec/serial.md: 64 bytes of the key whose id is
// 32 bytes 07, question number 1.
const askForAKey = "00 01 03 2d a5 30 01 01 01 02 05 03 18 40 04 58 20" +
	"07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 db dd 53 94 00"

// The command as a process: it answers a device on a socket, says so as JSON,
// and ends when it is told to.
func TestGatewayServesALine(t *testing.T) {
	system := otatest.New(t)
	path := filepath.Join(t.TempDir(), "uart")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	cmd := otaCommand(t.TempDir(), "gateway", "--json", "--serial", "unix:"+path, "--server", system.URL, "--fingerprint", system.Fingerprint)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	device, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	question, _ := hex.DecodeString(strings.ReplaceAll(askForAKey, " ", ""))
	io.WriteString(device, "boot loader 1.0\r\n")
	device.Write(question)
	device.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, 64)
	n, err := device.Read(answer)
	if err != nil || !bytes.Contains(answer[:n], []byte{0x02, 0x02}) { // status: no such object
		t.Errorf("the answer is %x, %v\n%s%s", answer[:n], err, &out, &words)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v: %s", err, &words)
	}
	for _, want := range []string{`"event":"connected"`, `"text":"boot loader 1.0"`, `"event":"failed"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
}

// The words of servers and certificates are part of events, and one line each.
func TestEventsDoNotMoveTheCursor(t *testing.T) {
	e := gateway.Event{Line: "uart", Event: "failed", Text: "valid for \x1b[2J\r\n12:00:00  uart \u009b1A \xff"}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		o := gatewayOptions{env: &env.Env{Stdout: &out, JSON: asJSON}}
		o.print(e)
		line := strings.TrimSuffix(out.String(), "\n")
		if strings.ContainsAny(line, "\n\r\x1b\u009b") || !strings.Contains(line, "valid for") {
			t.Errorf("it prints %q", line)
		}
	}
}
