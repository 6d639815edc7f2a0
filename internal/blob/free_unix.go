//go:build linux || darwin

package blob

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DiskFree returns how many bytes an unprivileged process can still write to
// the file system of dir.
func DiskFree(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
