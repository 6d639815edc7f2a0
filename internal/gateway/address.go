package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// connectTimeout bounds the opening of a line that is a socket.
const connectTimeout = 5 * time.Second

// A lineAddress says where a line is.
type lineAddress struct {
	text    string
	network string // tcp or unix; "": a terminal
	address string
}

func parseLine(text string) (lineAddress, error) {
	network, address, ok := strings.Cut(text, ":")
	switch {
	case ok && network == "tcp":
		if _, _, err := net.SplitHostPort(address); err != nil {
			return lineAddress{}, fmt.Errorf("%w: line %s: %w", ErrConfig, text, err)
		}
		return lineAddress{text, network, address}, nil
	case ok && network == "unix" && address != "":
		return lineAddress{text, network, address}, nil
	case text == "" || strings.Contains(text, "://"):
		return lineAddress{}, fmt.Errorf("%w: line %q: want the path of a terminal, tcp:HOST:PORT or unix:PATH", ErrConfig, text)
	}
	return lineAddress{text: text, address: text}, nil
}

// open opens the line. A socket is that of an emulator, and dialled.
func (a lineAddress) open(ctx context.Context, baud int) (io.ReadWriteCloser, error) {
	if a.network == "" {
		return openTerminal(a.address, baud)
	}
	d := net.Dialer{Timeout: connectTimeout}
	return d.DialContext(ctx, a.network, a.address)
}
