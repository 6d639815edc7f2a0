package agent

import (
	"os/exec"
	"syscall"
)

// tieToParent has the kernel end the program when the agent is killed: two
// programs of two slots must never run at once.
func tieToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
