package agent

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/secure-ota/secure-ota/client"
)

// loopTick is the longest the agent is silent while nothing happens.
const loopTick = 5 * time.Second

// Run is the daemon of a device that boots as a whole: another boot loader
// starts the slot, and the agent runs in it. It returns when ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	defer a.start(ctx)()
	err := a.client.Resume(ctx)
	if errors.Is(err, client.ErrStateLost) {
		// Nothing to do but to say so at each check, and to feed the watchdog of a system that is well.
		a.log.Error("the device does not ask for updates", "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	for {
		a.loop(ctx, nil)
		if ctx.Err() != nil {
			return nil
		}
		if !a.reboot(ctx) {
			// The operator reboots when it suits him.
			a.wait(ctx)
			return nil
		}
	}
}

// start begins what runs beside the loop, and returns what ends it.
func (a *Agent) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	a.listen(ctx)
	done := a.feed(ctx)
	return func() {
		cancel()
		<-done
	}
}

// loop serves until ctx ends or the other slot has to be booted. child is what
// runs from the slot, nil if somebody else started it.
func (a *Agent) loop(ctx context.Context, child *child) {
	var t *trial
	if a.client.State().Update.Phase == client.Trial {
		t = a.newTrial()
		a.log.Info("image on trial", "version", a.client.DeviceInfo().Target)
	}
	judge := time.NewTicker(a.cfg.Trial.Interval.or(time.Second))
	defer judge.Stop()
	tick := time.NewTicker(loopTick)
	defer tick.Stop()
	check := time.NewTimer(0)
	defer check.Stop()
	for !a.switchNeeded() {
		a.alive()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-judge.C:
			t = a.tryJudge(ctx, t)
		case how := <-child.event():
			a.childEvent(ctx, child, how)
		case o := <-a.orders:
			o.reply <- a.obey(ctx, o.what)
		case <-check.C:
			out, err := a.updateBeside(ctx, t)
			check.Reset(a.nextCheck(out, err))
		}
	}
}

// roundOnTrial is how long a round with the server may take while an image is on
// trial: a server that dawdles must not put the verdict off.
const roundOnTrial = time.Minute

// updateBeside is a round with the server beside a trial, nil for none.
func (a *Agent) updateBeside(ctx context.Context, t *trial) (client.Outcome, error) {
	if t == nil {
		return a.update(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, roundOnTrial)
	defer cancel()
	return a.update(ctx)
}

// tryJudge judges a trial, and returns it while it is undecided.
func (a *Agent) tryJudge(ctx context.Context, t *trial) *trial {
	if t == nil || a.client.State().Update.Phase != client.Trial {
		return nil
	}
	if err := a.judge(ctx, t); err != nil {
		a.log.Error("the trial cannot be decided", "error", err)
	}
	return t
}

// switchNeeded reports whether the slot that runs is not the one to run.
func (a *Agent) switchNeeded() bool {
	return a.client.State().Update.Phase == client.Switched || a.client.RebootNeeded()
}

// reboot runs the reboot command, if there is one.
func (a *Agent) reboot(ctx context.Context) bool {
	if len(a.cfg.Reboot) == 0 {
		a.log.Info("waiting for a reboot: the configuration has no reboot command")
		return false
	}
	a.log.Info("rebooting")
	if out, err := exec.CommandContext(ctx, a.cfg.Reboot[0], a.cfg.Reboot[1:]...).CombinedOutput(); err != nil {
		a.log.Error("reboot failed", "error", err, "output", lastLine(out))
	}
	a.sleep(ctx, time.Minute) // until the system ends us
	return ctx.Err() == nil
}

// wait keeps the device in touch until somebody reboots it.
func (a *Agent) wait(ctx context.Context) {
	check := time.NewTimer(a.nextCheck(client.Outcome{}, nil))
	defer check.Stop()
	tick := time.NewTicker(loopTick)
	defer tick.Stop()
	for {
		a.alive()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case o := <-a.orders:
			o.reply <- a.obey(ctx, o.what)
		case <-check.C:
			out, err := a.update(ctx)
			check.Reset(a.nextCheck(out, err))
		}
	}
}

// sleep waits, and is alive meanwhile.
func (a *Agent) sleep(ctx context.Context, d time.Duration) {
	end := time.Now().Add(d)
	for ctx.Err() == nil && time.Now().Before(end) {
		a.alive()
		select {
		case <-ctx.Done():
		case <-time.After(min(loopTick, time.Until(end))):
		}
	}
}

// Supervise is the daemon of a device whose firmware is one program: it is boot
// stage, parent of the program and agent in one. It returns when ctx ends.
func (a *Agent) Supervise(ctx context.Context) error {
	defer a.start(ctx)()
	for ctx.Err() == nil {
		image, err := a.client.Boot(ctx)
		if err != nil && !errors.Is(err, client.ErrNothingToBoot) {
			a.log.Error("cannot boot", "error", err)
			a.sleep(ctx, time.Second)
			continue
		}
		if err != nil {
			// Nothing runs, but an update may bring something that does.
			a.log.Error("no image to start", "error", err)
			a.loop(ctx, nil)
			continue
		}
		a.runImage(ctx, image)
	}
	return nil
}

// runImage starts the program of a slot and serves until another is to run.
func (a *Agent) runImage(ctx context.Context, image client.Image) {
	if image.Entry.ImageDigest.IsZero() && !a.present(image.Slot) {
		a.log.Info("nothing is installed yet")
		a.loop(ctx, nil)
		return
	}
	child := newChild(a.program(image.Slot))
	a.log.Info("starting", "slot", client.SlotName(image.Slot), "version", image.Entry.Version.String(), "trial", image.Trial)
	if err := child.start(); err != nil {
		a.log.Error("cannot start the program", "error", err)
		if image.Trial {
			if err := a.reject(ctx, err.Error()); err != nil {
				a.log.Error("cannot reject it", "error", err)
			}
			return
		}
	}
	a.loop(ctx, child)
	child.stop(a.cfg.Trial.StopWait.or(10 * time.Second))
}

// childEvent ends the trial of a program that ended, and starts a confirmed one
// again.
func (a *Agent) childEvent(ctx context.Context, c *child, how string) {
	if !c.running() {
		if err := c.start(); err != nil {
			a.log.Error("cannot start the program", "error", err)
		}
		return
	}
	c.ended()
	if a.client.State().Update.Phase != client.Trial {
		a.log.Warn("the program ended and is started again", "how", how)
		return
	}
	if err := a.reject(ctx, "the program ended: "+how); err != nil {
		a.log.Error("cannot reject it", "error", err)
	}
}
