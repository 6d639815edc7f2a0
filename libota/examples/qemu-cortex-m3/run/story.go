package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/libota/examples/qemu-cortex-m3/board"
)

// The cast.
const (
	vendor     = "acme"
	deviceType = "mcu_v1"
	device     = "mcu-0001"
	releaseKey = "release-" + deviceType + "-1"
)

// patience bounds each wait for something that must happen.
const patience = time.Minute

// A story is one run.
type story struct {
	ota    string // path of the program
	images string // directory of what was built
	out    io.Writer

	dir   string
	board *board.Board
	mu    sync.Mutex // of out: several programs speak
}

func (s *story) tell(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "mcu-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	ctx, end := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer end()

	s.title("Keys, and a server")
	plain, err := s.startServer(ctx, &others)
	if err != nil {
		return err
	}
	s.title("A board is made with 1.0.0, and gets power")
	if err := s.makeBoard(ctx); err != nil {
		return err
	}
	defer func() { s.board.Kill() }()
	if err := s.background(ctx, &others, "gateway", "gateway", "--serial", "unix:uart", "--server", plain); err != nil {
		return err
	}
	if err := s.waitFor(ctx, "app 1.0.0: confirmed"); err != nil {
		return err
	}
	s.title("1.1.0, and a power cut in the middle")
	if err := s.updateWithPowerCut(ctx); err != nil {
		return err
	}
	s.title("1.2.0, properly signed, hangs")
	if err := s.badRelease(ctx); err != nil {
		return err
	}
	s.title("What the server knows, by authentic reports")
	return s.show(ctx)
}

// startServer makes keys and starts the server. It returns the URL of its
// listener without TLS: what passes there is authenticated end to end.
func (s *story) startServer(ctx context.Context, others *sync.WaitGroup) (plain string, err error) {
	if err := s.quietly(ctx, "init", "--vendor", vendor, "--device-type", deviceType, "--no-passphrase"); err != nil {
		return "", err
	}
	var at struct {
		TLS         string `json:"tls"`
		Fingerprint string `json:"fingerprint"`
		Plain       string `json:"plain"`
		Token       string `json:"administrator_token"`
	}
	announced, err := s.start(ctx, others, "serve", "--data", "data", "--listen", "127.0.0.1:0", "--plain", "127.0.0.1:0", "--retry", "1s", "--json")
	if err != nil {
		return "", err
	}
	if err := json.UnmarshalDecode(jsontext.NewDecoder(announced), &at); err != nil {
		return "", fmt.Errorf("ota serve: %w", err)
	}
	if err := fsatomic.CreateFile(fsatomic.OS(), s.path("token"), []byte(at.Token+"\n"), 0o600); err != nil {
		return "", err
	}
	return at.Plain, s.quietly(ctx, "login", at.TLS, "--fingerprint", at.Fingerprint, "--token-file", "token")
}

func (s *story) makeBoard(ctx context.Context) error {
	image := s.image("1.0.0")
	provision := append([]string{"device", "provision", deviceType, device, "--flash-image", "flash.bin",
		"--firmware", image, "--manifest", "1.0.0.manifest"}, board.FlashArgs...)
	for _, args := range [][]string{
		{"manifest", image, "--device-type", deviceType, "--version", "1.0.0", "--key", releaseKey, "-o", "1.0.0.manifest"},
		{"publish", image, "--manifest", "1.0.0.manifest"},
		provision,
	} {
		if err := s.quietly(ctx, args...); err != nil {
			return err
		}
	}
	return s.powerOn()
}

func (s *story) updateWithPowerCut(ctx context.Context) error {
	if err := s.publish(ctx, "1.1.0"); err != nil {
		return err
	}
	if err := s.waitFor(ctx, "boot: installs the new image"); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond)
	s.board.Kill()
	s.say("power", "off, and on again")
	if err := s.powerOn(); err != nil {
		return err
	}
	return s.waitFor(ctx, "app 1.1.0: confirmed")
}

func (s *story) badRelease(ctx context.Context) error {
	if err := s.publish(ctx, "1.2.0-hangs"); err != nil {
		return err
	}
	return s.waitFor(ctx, "app 1.1.0: went back")
}

// show ends the story: the server has to know what happened.
func (s *story) show(ctx context.Context) error {
	for {
		out, err := s.output(ctx, "device", "show", deviceType, device)
		if err != nil {
			return err
		}
		text := strings.Join(strings.Fields(out), " ")
		if strings.Contains(text, "last event reverted") && strings.Contains(text, "version 1.1.0") {
			s.say("$", "ota device show "+deviceType+" "+device)
			for line := range strings.Lines(out) {
				s.say("", strings.TrimRight(line, "\n"))
			}
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("the server has:\n%s", out))
		}
	}
}

func (s *story) publish(ctx context.Context, version string) error {
	return s.quietly(ctx, "publish", s.image(version), "--device-type", deviceType, "--version", version, "--key", releaseKey)
}

func (s *story) powerOn() error {
	b, err := board.Start(board.Config{
		Boot: filepath.Join(s.images, "bootloader.elf"), Flash: s.path("flash.bin"), Line: s.path("uart"),
		Heard: func(line string) { s.say("board", line) },
	})
	if err == nil {
		s.board = b
	}
	return err
}

func (s *story) waitFor(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := s.board.WaitFor(ctx, text)
	return err
}

func (s *story) path(name string) string     { return filepath.Join(s.dir, name) }
func (s *story) image(version string) string { return filepath.Join(s.images, "app-"+version+".bin") }

func (s *story) title(text string) { s.print("\n%s\n", text) }

// say prints what one of the programs says.
func (s *story) say(who, text string) { s.print("  %-8s %s\n", who, text) }

func (s *story) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format, args...)
}
