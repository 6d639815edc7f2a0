//go:build unix && !race

package fleet

import "golang.org/x/sys/unix"

// newRegion returns zeroed bytes from the system, which gives each page when
// it is first written. The system says no only when it has nothing left.
func newRegion(size int) []byte {
	raw, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic("fleet: out of memory: " + err.Error())
	}
	return raw
}

func freeRegion(raw []byte) { unix.Munmap(raw) }
