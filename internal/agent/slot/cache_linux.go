package slot

import (
	"golang.org/x/sys/unix"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// dropCache asks the kernel to forget the pages of a synced file. If it does
// not, reading back still finds what was written, only not on the medium.
func dropCache(file fsatomic.File) {
	if f, ok := file.(interface{ Fd() uintptr }); ok {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
}
