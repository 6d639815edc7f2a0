package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// A load is connections that stay open, each from an address of its own, as
// devices have them. It costs far less than any server: one thread that writes
// to many sockets and then reads from them.
type load struct {
	fds    []int
	answer []byte // room for one
}

// loadBatch is how many requests are on their way at a time.
const loadBatch = 64

func connect(t testing.TB, addr string, count int) *load {
	t.Helper()
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	l := &load{answer: make([]byte, 16<<10)}
	t.Cleanup(func() { l.close() })
	for i := range count {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		l.fds = append(l.fds, fd)
		from := &unix.SockaddrInet4{Addr: [4]byte{127, 1, byte(i >> 8), byte(1 + i&0x7f)}}
		from.Addr[1] += byte(i >> 7 & 1)
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}),
			unix.Bind(fd, from),
			unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *load) close() {
	for _, fd := range l.fds {
		unix.Close(fd)
	}
	l.fds = nil
}

// run sends all requests, the connections in turn, and hands each answer's
// body to check, which may be nil.
func (l *load) run(requests [][]byte, check func(i int, body []byte) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, pinned unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	pinned.Set(clientCore)
	unix.SchedSetaffinity(0, &pinned) // fails on a machine with one core
	defer unix.SchedSetaffinity(0, &before)
	size := min(loadBatch, len(l.fds)) // one on each connection at a time
	for from := 0; from < len(requests); from += size {
		batch := requests[from:min(from+size, len(requests))]
		for i, request := range batch {
			if _, err := unix.Write(l.fds[(from+i)%len(l.fds)], request); err != nil {
				return fmt.Errorf("send request %d: %w", from+i, err)
			}
		}
		for i := range batch {
			body, err := l.read(l.fds[(from+i)%len(l.fds)])
			if err == nil && check != nil {
				err = check(from+i, body)
			}
			if err != nil {
				return fmt.Errorf("answer %d: %w", from+i, err)
			}
		}
	}
	return nil
}

var (
	headEnd = []byte("\r\n\r\n")
	length  = []byte("\r\nContent-Length: ")
)

// read reads one answer and returns its body. Anything but 200 is an error.
func (l *load) read(fd int) ([]byte, error) {
	got := 0
	for {
		n, err := unix.Read(fd, l.answer[got:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("the connection ended")
		}
		got += n
		head := bytes.Index(l.answer[:got], headEnd)
		if head < 0 {
			continue
		}
		if !bytes.HasPrefix(l.answer, []byte("HTTP/1.1 200 ")) {
			return nil, fmt.Errorf("%q", l.answer[:got])
		}
		at := bytes.Index(l.answer[:head], length)
		if at < 0 {
			return nil, errors.New("no Content-Length")
		}
		digits, _, _ := bytes.Cut(l.answer[at+len(length):got], []byte("\r"))
		size, err := strconv.Atoi(string(digits))
		if err != nil {
			return nil, err
		}
		if start := head + len(headEnd); got >= start+size {
			return l.answer[start : start+size], nil
		}
	}
}

// request returns the bytes of a POST.
func request(path, contentType string, body []byte) []byte {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: ota.example.com\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, contentType, len(body))
	return append([]byte(head), body...)
}
