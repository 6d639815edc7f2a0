package blob

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// DiskFree returns how many bytes this user can still write to the volume of
// dir.
func DiskFree(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(free), nil
}
