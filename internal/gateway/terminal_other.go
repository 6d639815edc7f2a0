//go:build !linux || ppc || ppc64 || ppc64le

package gateway

import (
	"errors"
	"fmt"
	"io"
)

// openTerminal refuses: serial ports are set up in Linux's way only.
func openTerminal(path string, _ int) (io.ReadWriteCloser, error) {
	return nil, fmt.Errorf("open %s: serial ports are for Linux; tcp:HOST:PORT and unix:PATH work here: %w", path, errors.ErrUnsupported)
}
