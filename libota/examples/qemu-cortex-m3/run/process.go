package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command returns "ota" with these arguments; it shows it as a person would
// type it.
func (s *story) command(ctx context.Context, args ...string) *exec.Cmd {
	s.say("$", "ota "+strings.ReplaceAll(strings.Join(args, " "), s.images+string(filepath.Separator), ""))
	return s.silent(ctx, args...)
}

func (s *story) silent(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.ota, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "OTA_HOME=", "OTA_SERVER=", "OTA_TOKEN=")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// quietly runs a command, whose output matters only if it fails.
func (s *story) quietly(ctx context.Context, args ...string) error {
	if out, err := s.command(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ota %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// output runs a command without showing it, and returns what it prints.
func (s *story) output(ctx context.Context, args ...string) (string, error) {
	out, err := s.silent(ctx, args...).Output()
	if err != nil {
		return "", fmt.Errorf("ota %s: %w", args[0], err)
	}
	return string(out), nil
}

// start starts a command that runs beside the story until ctx ends, and returns
// its output.
func (s *story) start(ctx context.Context, others *sync.WaitGroup, args ...string) (io.Reader, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := s.command(ctx, args...)
	cmd.Stdout = write
	err = cmd.Start()
	write.Close()
	if err != nil {
		read.Close()
		return nil, fmt.Errorf("ota %s: %w", args[0], err)
	}
	others.Go(func() {
		_ = cmd.Wait() // it ends because it is told to
		read.Close()
	})
	return read, nil
}

// background starts such a command, and shows what it says.
func (s *story) background(ctx context.Context, others *sync.WaitGroup, who string, args ...string) error {
	out, err := s.start(ctx, others, args...)
	if err != nil {
		return err
	}
	others.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if line := lines.Text(); worthTelling(line) {
				s.say(who, line)
			}
		}
	})
	return nil
}

// worthTelling leaves of a gateway's events those that a reader wants: not each
// tenth of a download, not each "nothing new".
func worthTelling(line string) bool {
	for _, dull := range []string{" download ", " lost ", " connected", "nothing to install", " check "} {
		if strings.Contains(line, dull) {
			return false
		}
	}
	return true
}
