package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

var indent = jsontext.WithIndent("  ")

// An Agent is the daemon of one device. It holds the device's lock: no other
// process changes its storage.
type Agent struct {
	cfg     Config
	log     *slog.Logger
	local   *client.Local
	client  *client.Client
	lock    *lock
	backoff client.Backoff
	orders  chan order
	beat    atomic.Int64 // when the agent last got ahead, in nanoseconds since 1970
}

// Open locks the device and opens it.
func Open(cfg Config, log *slog.Logger, progress func(client.Progress)) (*Agent, error) {
	cc, local, err := cfg.Client()
	if err != nil {
		return nil, err
	}
	l, err := takeLock(cfg.Storage)
	if err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, log: log, local: local, lock: l, orders: make(chan order)}
	cc.Ops = beating{local, a.alive}
	if a.client, err = prepare(cc, local); err != nil {
		return nil, errors.Join(err, l.release())
	}
	a.backoff.Device = a.client.DeviceInfo().Device
	a.client.SetProgressCallback(progress)
	a.alive()
	return a, nil
}

func prepare(cc client.Config, local *client.Local) (*client.Client, error) {
	if err := local.Prepare(); err != nil {
		return nil, err
	}
	return client.New(cc)
}

// Close releases the device.
func (a *Agent) Close() error { return a.lock.release() }

// Client returns the device.
func (a *Agent) Client() *client.Client { return a.client }

// alive notes that the agent gets ahead; the watchdogs are fed only while it does.
func (a *Agent) alive() { a.beat.Store(time.Now().UnixNano()) }

// Once does one round: judge a trial, check, update, deliver reports.
func (a *Agent) Once(ctx context.Context) (client.Outcome, error) {
	if err := a.client.Resume(ctx); err != nil {
		return client.Outcome{}, err
	}
	if err := a.judgeOnce(ctx); err != nil {
		return client.Outcome{}, err
	}
	return a.client.Update(ctx)
}

// update is a round with the server.
func (a *Agent) update(ctx context.Context) (client.Outcome, error) {
	out, err := a.client.Update(ctx)
	a.alive()
	switch {
	case err != nil && errors.Is(err, reason.Transport):
		a.log.Warn("no update", "error", err)
	case err != nil:
		a.log.Error("update refused", "reason", int(trust.ReasonOf(err)), "error", err)
	case out.Switched:
		a.log.Info("update installed, it boots next on trial", "version", a.client.DeviceInfo().Target)
	default:
		a.log.Debug("nothing new")
	}
	return out, err
}

// nextCheck returns when to ask again.
func (a *Agent) nextCheck(out client.Outcome, err error) time.Duration {
	wait := a.backoff.Next(out.Answer, err)
	if most := a.cfg.MaxPoll.or(0); most > 0 && most < wait {
		return most
	}
	return wait
}

// command fills in a command line: {image} is the path of the slot, {slot} its name.
func (a *Agent) command(args []string, slot int) []string {
	r := strings.NewReplacer("{image}", a.imagePath(slot), "{slot}", client.SlotName(slot))
	out := make([]string, 0, len(args))
	for _, arg := range args {
		out = append(out, r.Replace(arg))
	}
	return out
}

// imagePath is absolute, so that no search path has a say in what is started.
func (a *Agent) imagePath(slot int) string {
	path := a.local.SlotPath(slot)
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// program returns what to start from a slot.
func (a *Agent) program(slot int) []string {
	args := a.cfg.Program
	if len(args) == 0 {
		args = []string{"{image}"}
	}
	return a.command(args, slot)
}

// Exec is the boot stage: it chooses the slot and returns what to start.
func (a *Agent) Exec(ctx context.Context) ([]string, error) {
	image, err := a.client.Boot(ctx)
	if err != nil {
		return nil, err
	}
	if image.Entry.ImageDigest.IsZero() && a.client.DeviceInfo().Problem == "" && !a.present(image.Slot) {
		return nil, fmt.Errorf("slot %s: %w: nothing was installed yet (`ota-agent once` installs)", client.SlotName(image.Slot), client.ErrNothingToBoot)
	}
	return a.program(image.Slot), nil
}

// present reports whether there is anything in a slot, such as what the factory put there.
func (a *Agent) present(slot int) bool {
	s, err := a.local.OpenSlot(slot, false)
	if err != nil {
		return false
	}
	defer s.Close()
	size, err := s.Size()
	return err == nil && size > 0
}
