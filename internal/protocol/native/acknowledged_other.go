//go:build !linux

package native

import "net"

// acknowledged would return how many bytes the peer has acknowledged. Here the
// kernel is not asked; what it takes from us has to do.
func acknowledged(net.Conn) (bytes int64, ok bool) { return 0, false }
