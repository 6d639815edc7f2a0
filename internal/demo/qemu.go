package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/gateway"
	"github.com/secure-ota/secure-ota/libota/examples/qemu-cortex-m3/board"
)

// The second device: a Cortex-M3 in QEMU.
const (
	boardType   = "mcu_v1"
	boardID     = "mcu-0001"
	boardKey    = "release-" + boardType
	boardSource = "libota/examples/qemu-cortex-m3" // from the project's root, where make starts the demo
)

// microcontroller updates a device that has 4 KB of RAM, no clock and no
// network, over a serial line and through a gateway. Where the tools for it are
// missing it says so in one line.
func (d *demo) microcontroller(ctx context.Context) error {
	if why := boardMissing(); why != "" {
		d.say("skipped: %s", why)
		return nil
	}
	images := filepath.Join(d.dir, "cortex-m3")
	if err := board.Build(ctx, boardSource, images, "BACKOFF=1"); err != nil {
		return err
	}
	if err := d.makeBoard(ctx, images); err != nil {
		return err
	}
	return d.updateBoard(ctx, images)
}

func boardMissing() string {
	if _, err := os.Stat(boardSource); errors.Is(err, fs.ErrNotExist) {
		return "the sources of " + boardSource + " are not here"
	}
	for program, debian := range map[string]string{board.QEMU: board.QEMUPackage, board.GCC: board.GCCPackage} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Sprintf("%s is not there (Debian's package %s)", program, debian)
		}
	}
	return ""
}

// makeBoard makes the type's release key, publishes 1.0.0, and provisions a
// flash with it.
func (d *demo) makeBoard(ctx context.Context, images string) error {
	firmware := filepath.Join(images, "app-1.0.0.bin")
	for _, args := range [][]string{
		{"key", "generate", boardKey, "--purpose", "release", "--device-type", boardType, "--no-passphrase"},
		{"keyset", "new", boardType, "--add-release", boardKey},
		{"keyset", "sign", boardType},
		{"manifest", firmware, "--device-type", boardType, "--version", "1.0.0", "--key", boardKey, "-o", "mcu-1.0.0.manifest"},
		{"publish", firmware, "--manifest", "mcu-1.0.0.manifest"},
	} {
		if _, err := d.quietly(ctx, args...); err != nil {
			return err
		}
	}
	d.say("$ ota device provision %s %s --flash-image flash.bin --firmware app-1.0.0.bin …", boardType, boardID)
	_, err := d.quietly(ctx, append([]string{"device", "provision", boardType, boardID, "--flash-image", "flash.bin",
		"--firmware", firmware, "--manifest", "mcu-1.0.0.manifest"}, board.FlashArgs...)...)
	return err
}

// updateBoard gives the board power and a gateway, and lets it take 1.1.0.
func (d *demo) updateBoard(ctx context.Context, images string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	line := filepath.Join(d.dir, "uart")
	d.say("$ ota gateway --serial unix:uart --server %s", d.wire.upstream)
	g, err := gateway.New(gateway.Config{Server: client.Server{URL: d.wire.upstream}, Lines: []string{"unix:" + line}})
	if err != nil {
		return err
	}
	b, err := board.Start(board.Config{
		Boot: filepath.Join(images, "bootloader.elf"), Flash: filepath.Join(d.dir, "flash.bin"), Line: line,
	})
	if err != nil {
		return err
	}
	defer b.Kill()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if err := d.listen(ctx, b, "app 1.0.0: confirmed"); err != nil {
		return err
	}
	d.say("$ ota publish app-1.1.0.bin --device-type %s --version 1.1.0 --key %s", boardType, boardKey)
	_, err = d.quietly(ctx, "publish", filepath.Join(images, "app-1.1.0.bin"), "--device-type", boardType, "--version", "1.1.0", "--key", boardKey)
	if err != nil {
		return err
	}
	return d.listen(ctx, b, "app 1.1.0: confirmed")
}

// listen shows what the board prints, up to a line with that text.
func (d *demo) listen(ctx context.Context, b *board.Board, text string) error {
	for {
		line, err := b.WaitFor(ctx, "")
		if err != nil {
			return err
		}
		d.say("board: %s", line)
		if strings.Contains(line, text) {
			return nil
		}
	}
}
