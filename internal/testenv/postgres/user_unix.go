//go:build unix

package postgres

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// PostgreSQL refuses to run as root, so root runs it as Debian's user for it,
// or as nobody.
func runner() (uid, gid int, change bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return uid, gid, true
	}
	return 65534, 65534, true
}

func demote(cmd *exec.Cmd) {
	if uid, gid, change := runner(); change {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
}

// giveAway makes the directory that of the user who runs the server.
func giveAway(dir string) error {
	uid, gid, change := runner()
	if !change {
		return nil
	}
	return os.Chown(dir, uid, gid)
}
