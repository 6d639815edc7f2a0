package agent

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/reason"
)

// healthTimeout ends a health command that hangs.
const healthTimeout = 30 * time.Second

// health runs the health command once. Without one, an image that runs is well.
func (a *Agent) health(ctx context.Context) error {
	if len(a.cfg.Trial.Health) == 0 {
		return nil
	}
	args := a.command(a.cfg.Trial.Health, a.client.State().Update.Slot)
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Trial.Timeout.or(healthTimeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	tieToParent(cmd)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("health check: %w: %s", err, lastLine(out))
	}
	return nil
}

// A tail keeps the end of what is written to it: a broken image may write
// without end, and the agent has to outlive it.
type tail []byte

// maxTail is how much is kept, in bytes.
const maxTail = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	keep := append(*t, b[max(0, len(b)-maxTail):]...)
	*t = append((*t)[:0], keep[max(0, len(keep)-maxTail):]...)
	return len(b), nil
}

func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// A trial is the time in which an image has to prove itself.
type trial struct {
	settled  time.Time // not before
	deadline time.Time // not after
	last     error     // of the health command
}

func (a *Agent) newTrial() *trial {
	now := time.Now()
	return &trial{
		settled:  now.Add(a.cfg.Trial.Settle.or(5 * time.Second)),
		deadline: now.Add(a.cfg.Trial.Deadline.or(2 * time.Minute)),
	}
}

// judge looks at the image on trial once, and confirms or rejects it if it can
// be decided.
func (a *Agent) judge(ctx context.Context, t *trial) error {
	now := time.Now()
	t.last = a.health(ctx)
	switch {
	case ctx.Err() != nil:
		return nil // it was not the image that ended the health command
	case t.last == nil && !a.cfg.Trial.Manual && !now.Before(t.settled):
		return a.confirm(ctx)
	case now.After(t.deadline):
		return a.reject(ctx, t.verdict())
	}
	return nil
}

func (t *trial) verdict() string {
	if t.last != nil {
		return t.last.Error()
	}
	return "not confirmed in time"
}

func (a *Agent) confirm(ctx context.Context) error {
	if err := a.client.ConfirmFirmware(ctx); err != nil {
		return err
	}
	a.log.Info("image confirmed", "version", a.client.DeviceInfo().Version)
	return nil
}

func (a *Agent) reject(ctx context.Context, detail string) error {
	a.log.Error("image rejected", "version", a.client.DeviceInfo().Target, "why", detail)
	return a.client.RejectFirmware(ctx, reason.HealthCheck, detail)
}

// judgeOnce judges a trial in a single round: there is no later one.
func (a *Agent) judgeOnce(ctx context.Context) error {
	if a.client.State().Update.Phase != client.Trial || a.cfg.Trial.Manual {
		return nil
	}
	if err := a.health(ctx); err != nil {
		return a.reject(ctx, err.Error())
	}
	return a.confirm(ctx)
}
