// Package board runs the example: QEMU's Cortex-M3 with the boot stage in ROM
// and a flash that is a file. Its serial line is a unix socket, which a gateway
// dials.
package board

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Programs that are needed, and Debian's packages that have them.
const (
	QEMU        = "qemu-system-arm"
	QEMUPackage = "qemu-system-arm"
	GCC         = "arm-none-eabi-gcc"
	GCCPackage  = "gcc-arm-none-eabi"
)

// FlashArgs are the flags of "ota device provision" that fit places.c; the
// rest of it is where the command puts things by default.
var FlashArgs = []string{"--area", "firmware=0x10000:0x10000"}

// psram is the memory that the file stands for: QEMU takes no smaller one.
const psram = 16 << 20

// A Config says what a board is made of.
type Config struct {
	Boot  string            // bootloader.elf
	Flash string            // file of the flash, as provisioned; changed by the board
	Line  string            // path of the socket that its UART becomes
	Heard func(line string) // told each line of the console, from one goroutine; may be nil
}

// A Board is one that has power.
type Board struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu     sync.Mutex
	lines  []string
	read   int           // lines that WaitFor has passed
	change chan struct{} // closed when there is a new line
}

// Build compiles the example into a directory. vars are make's, such as
// "BACKOFF=1".
func Build(ctx context.Context, source, dir string, vars ...string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("build %s: %w", source, err)
	}
	cmd := exec.CommandContext(ctx, "make", append([]string{"--no-print-directory", "-C", source, "B=" + dir}, vars...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	return nil
}

// Start gives the board power. The file must not be in use by another one.
func Start(cfg Config) (*Board, error) {
	if err := grow(cfg.Flash); err != nil {
		return nil, fmt.Errorf("flash of the board: %w", err)
	}
	os.Remove(cfg.Line) // of a board that was killed
	cmd := exec.Command(QEMU,
		"-machine", "mps2-an385,memory-backend=flash",
		"-object", fmt.Sprintf("memory-backend-file,id=flash,share=on,size=%d,mem-path=%s", psram, cfg.Flash),
		"-kernel", cfg.Boot, "-display", "none", "-monitor", "none",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-serial", "unix:"+cfg.Line+",server=on,wait=off")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start board: %w", err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start board: %w", err)
	}
	b := &Board{cmd: cmd, done: make(chan struct{}), change: make(chan struct{})}
	go b.listen(bufio.NewScanner(out), cfg.Heard)
	return b, nil
}

// grow makes the file as long as the memory; what is new reads as zero, like a
// flash in which something stood before.
func grow(name string) error {
	info, err := os.Stat(name)
	if err != nil || info.Size() >= psram {
		return err
	}
	return os.Truncate(name, psram)
}

func (b *Board) listen(console *bufio.Scanner, heard func(string)) {
	defer close(b.done)
	for console.Scan() {
		line := strings.TrimRight(console.Text(), "\r")
		if heard != nil {
			heard(line)
		}
		b.mu.Lock()
		b.lines = append(b.lines, line)
		close(b.change)
		b.change = make(chan struct{})
		b.mu.Unlock()
	}
	_ = b.cmd.Wait()
}

// Kill cuts the power.
func (b *Board) Kill() {
	_ = b.cmd.Process.Kill()
	<-b.done
}

// WaitFor returns the next line of the console that contains text.
func (b *Board) WaitFor(ctx context.Context, text string) (string, error) {
	for {
		line, change, found := b.next(text)
		if found {
			return line, nil
		}
		select {
		case <-change:
		case <-b.done:
			if line, _, found = b.next(text); found {
				return line, nil
			}
			return "", fmt.Errorf("the board lost its power before it printed %q:\n%s", text, b.tail())
		case <-ctx.Done():
			return "", fmt.Errorf("the board did not print %q: %w\n%s", text, ctx.Err(), b.tail())
		}
	}
}

func (b *Board) next(text string) (line string, change <-chan struct{}, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.read < len(b.lines) {
		line = b.lines[b.read]
		b.read++
		if strings.Contains(line, text) {
			return line, nil, true
		}
	}
	return "", b.change, false
}

// tail returns the last lines, for an error.
func (b *Board) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines[max(0, len(b.lines)-20):], "\n")
}

// Printed reports whether a line with that text was printed so far.
func (b *Board) Printed(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.lines {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}
