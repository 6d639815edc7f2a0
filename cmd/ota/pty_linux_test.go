package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is "ota" on a terminal, with somebody who types.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	slave  *os.File // kept open: the terminal's settings outlive the program
	out    []byte
}

// onTerminal starts "ota" with a pseudo-terminal for all of its streams.
func onTerminal(t *testing.T, dir string, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := otaCommand(dir, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, cmd: cmd, master: master, slave: slave}
	t.Cleanup(func() {
		cmd.Process.Kill()
		master.Close()
		slave.Close()
	})
	return term
}

// echoes reports whether the terminal shows what is typed.
func (p *terminal) echoes() bool {
	settings, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return settings.Lflag&unix.ECHO != 0
}

// answers waits for the question, mute as it has to be, and types the answer.
func (p *terminal) answers(question, answer string) {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for seen := len(p.out); !bytes.Contains(p.out[seen:], []byte(question)) || p.echoes(); {
		if time.Now().After(deadline) {
			p.t.Fatalf("no question %q on a mute terminal: %q", question, p.out)
		}
		p.read(20 * time.Millisecond)
	}
	if _, err := p.master.WriteString(answer); err != nil {
		p.t.Fatal(err)
	}
}

// read takes what is there within a time.
func (p *terminal) read(within time.Duration) {
	fds := []unix.PollFd{{Fd: int32(p.master.Fd()), Events: unix.POLLIN}}
	if n, _ := unix.Poll(fds, int(within.Milliseconds())); n > 0 {
		var buffer [4096]byte
		n, _ := unix.Read(int(p.master.Fd()), buffer[:])
		p.out = append(p.out, buffer[:max(n, 0)]...)
	}
}

// ends waits for the program and returns its exit code and all that was on the
// terminal. Afterwards the terminal has to echo.
func (p *terminal) ends() (code int, shown string) {
	p.t.Helper()
	done := make(chan struct{})
	go func() {
		p.cmd.Wait()
		close(done)
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		p.read(20 * time.Millisecond)
	}
	if !p.echoes() {
		p.t.Errorf("the terminal is left mute: %q", p.out)
	}
	return p.cmd.ProcessState.ExitCode(), string(p.out)
}

func terminalDir(t *testing.T) string {
	t.Parallel() // it waits for scrypt
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "firmware.bin"), []byte("firmware"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantOnTerminal(t *testing.T, p *terminal, code int, words string) {
	t.Helper()
	got, shown := p.ends()
	if got != code || !strings.Contains(shown, words) {
		t.Errorf("exit code %d, want %d and %q:\n%s", got, code, words, shown)
	}
	if strings.Contains(shown, "s3cret") {
		t.Errorf("the passphrase is on the terminal: %q", shown)
	}
}

func TestPassphraseIsTypedTwiceAndAsUsed(t *testing.T) {
	dir := terminalDir(t)
	p := onTerminal(t, dir, "sign", "firmware.bin", "--key-out", "k.pem")
	p.answers("passphrase for the new key", "s3cret\n")
	p.answers("the same again", "s3cret-not\n")
	wantOnTerminal(t, p, 1, "the two passphrases differ")

	p = onTerminal(t, dir, "sign", "firmware.bin", "--key-out", "k.pem")
	p.answers("passphrase for the new key", "s3cret\n")
	p.answers("the same again", "s3cret\n")
	wantOnTerminal(t, p, 0, "public key   public_key.pem")
	if text, err := os.ReadFile(filepath.Join(dir, "k.pem")); err != nil || !bytes.Contains(text, []byte("BEGIN ENCRYPTED PRIVATE KEY")) {
		t.Errorf("the key is not encrypted: %v", err)
	}

	p = onTerminal(t, dir, "sign", "firmware.bin", "--key", "k.pem")
	p.answers("passphrase of k.pem", "s3cret\n")
	wantOnTerminal(t, p, 0, "firmware.bin.sig")
	p = onTerminal(t, dir, "sign", "firmware.bin", "--key", "k.pem")
	p.answers("passphrase of k.pem", "wrong\n")
	wantOnTerminal(t, p, 1, "openssl pkey -in k.pem")
}

func TestEmptyPassphraseIsPossibleWithAWarning(t *testing.T) {
	dir := terminalDir(t)
	p := onTerminal(t, dir, "sign", "firmware.bin", "--key-out", "k.pem")
	p.answers("passphrase for the new key", "\n")
	p.answers("the same again", "\n")
	wantOnTerminal(t, p, 0, "warning: the new key is not encrypted")
}

// Whoever changes his mind at the question gets his terminal back as it was,
// and nothing is made.
func TestInterruptAtTheQuestion(t *testing.T) {
	dir := terminalDir(t)
	p := onTerminal(t, dir, "init", "--vendor", "acme", "--device-type", "t")
	p.answers("passphrase for the keys of the new home", "s3cret\n")
	p.answers("the same again", "\x03")
	wantOnTerminal(t, p, 1, "interrupted")
	if _, err := os.Stat(filepath.Join(dir, "ota-home")); err == nil {
		t.Error("a home was made")
	}
	mustRun(t, dir, "init", "--vendor", "acme", "--no-passphrase", "--roots", "0")
	p = onTerminal(t, dir, "login", "https://localhost:1")
	p.answers("token for https://localhost:1", "\x03")
	wantOnTerminal(t, p, 1, "interrupted")
}

// Binary data, in which anything may stand, does not go to a terminal.
func TestTerminalGetsNoBinaryData(t *testing.T) {
	dir := terminalDir(t)
	mustRun(t, dir, "init", "--vendor", "acme", "--device-type", "t", "--algorithm", "Ed25519", "--no-passphrase")
	wantOnTerminal(t, onTerminal(t, dir, "keyset", "export", "t"), 1, "hint: say where it goes: -o FILE")
	wantOnTerminal(t, onTerminal(t, dir, "key", "export", "root-1"), 0, "BEGIN PUBLIC KEY")
	wantOnTerminal(t, onTerminal(t, dir, "key", "export", "root-1", "--format", "c"), 0, "#ifndef")
	if err := os.WriteFile(filepath.Join(dir, "\x1b[31mred"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := onTerminal(t, dir, "inspect", "\x1b[31mred")
	wantOnTerminal(t, p, 1, `inspect \u001b[31mred`)
	if bytes.ContainsRune(p.out, 0x1b) {
		t.Errorf("an escape reached the terminal: %q", p.out)
	}
}
