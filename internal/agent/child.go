package agent

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// The pause before a program that ended is started again grows from the first
// to the last of these, and begins anew once it ran for longer than the last.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// A child is the program of a slot, and is started again when it ends. A nil
// child is none.
type child struct {
	args    []string
	cmd     *exec.Cmd   // nil while it does not run
	events  chan string // how it ended or, while it does not run, that it is time to start it
	pause   time.Duration
	started time.Time
}

func newChild(args []string) *child { return &child{args: args, pause: firstPause} }

// start starts the program. If it cannot, it is time to try again after a pause.
func (c *child) start() error {
	c.started, c.events = time.Now(), make(chan string, 1)
	cmd, events := exec.Command(c.args[0], c.args[1:]...), c.events
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	tieToParent(cmd)
	if err := cmd.Start(); err != nil {
		c.ended()
		return err
	}
	c.cmd = cmd
	go func() {
		_ = cmd.Wait()
		events <- cmd.ProcessState.String()
	}()
	return nil
}

// event receives when the program ended, or is to be started again.
func (c *child) event() <-chan string {
	if c == nil {
		return nil
	}
	return c.events
}

func (c *child) running() bool { return c.cmd != nil }

// ended takes note that the program does not run, and has it started again
// after a pause.
func (c *child) ended() {
	c.cmd = nil
	if time.Since(c.started) > lastPause {
		c.pause = firstPause
	}
	events := make(chan string, 1)
	c.events = events
	time.AfterFunc(c.pause, func() { events <- "" })
	c.pause = min(2*c.pause, lastPause)
}

// stop ends the program and waits for it: SIGTERM, and after a while SIGKILL.
func (c *child) stop(wait time.Duration) {
	if !c.running() {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.events:
	case <-time.After(wait):
		_ = c.cmd.Process.Kill()
		<-c.events
	}
}
