package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// measureDripping has clients that send their header a byte at a time, for
// ever, beside devices that check. One pause of the machine decides a p99, so
// what counts is the median of some rounds.
func measureDripping(t *testing.T, c scale, f *field, r *report) {
	our := startOurs(t, f)
	awaitIdle(t, our)
	f.latencies(t, our.first, c.checks/10) // warms up
	var alone, beside, ratios []float64
	cut := 0
	for range c.drippingRounds {
		a := ms(p99(f.latencies(t, our.first, c.checks/3)))
		d := drip(t, our.first, c.dripping)
		b := ms(p99(f.latencies(t, our.first, c.checks/3)))
		cut += d.stop(t)
		alone, beside, ratios = append(alone, a), append(beside, b), append(ratios, b/a)
	}
	r.add(fmt.Sprintf("p99 of a check, at 1,000 a second, beside %d clients that drip their headers; medians of %d rounds", c.dripping, c.drippingRounds),
		fmt.Sprintf("%.2f ms, alone %.2f ms: **%.2f ×** (%.2f to %.2f); in a round, %d of them were cut and came again", median(beside), median(alone),
			median(ratios), slices.Min(ratios), slices.Max(ratios), cut/c.drippingRounds), "≤ 2 ×")
}

// dripped is what each client sends, and has not sent when it is cut.
const dripped = "POST /v1/check HTTP/1.1\r\nHost: ota.example.com\r\nUser-Agent: dripdripdripdripdrip"

// A dripper is clients that send a byte a second each, evenly spread over the
// second, and come again when they are cut. They come in over the ten seconds
// after which the server cuts them, so that it has as many to cut and to take
// anew in each second. One thread has them all, so that what is measured is the
// server.
type dripper struct {
	to      netip.AddrPort
	fds     []int // -1: it is yet to come
	sent    []int // bytes, of each client
	quit    chan struct{}
	all     chan struct{} // closed when all have come
	working sync.WaitGroup
	cut     int
	failed  error
}

// drip starts count clients, and returns when all have come.
func drip(t *testing.T, addr string, count int) *dripper {
	t.Helper()
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	d := &dripper{to: to, fds: make([]int, count), sent: make([]int, count), quit: make(chan struct{}), all: make(chan struct{})}
	for i := range d.fds {
		d.fds[i] = -1
	}
	ended := make(chan struct{})
	d.working.Go(func() {
		defer close(ended)
		d.run()
	})
	select {
	case <-d.all:
	case <-ended:
		t.Fatal(d.failed)
	}
	return d
}

// stop ends all clients and returns how many were cut.
func (d *dripper) stop(t *testing.T) int {
	t.Helper()
	close(d.quit)
	d.working.Wait()
	for _, fd := range d.fds {
		unix.Close(fd)
	}
	if d.failed != nil {
		t.Error(d.failed)
	}
	return d.cut
}

func (d *dripper) connect(i int) (err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	d.fds[i], d.sent[i] = fd, 0
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 3, byte(i >> 8), byte(1 + i%250)}}
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}), // no TIME_WAIT: the addresses are few
		unix.Bind(fd, from),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(d.to.Port()), Addr: d.to.Addr().As4()}))
}

func (d *dripper) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const slices, arriving = 100, 10 // of a second; seconds
	for turn, come := 0, 0; ; turn++ {
		select {
		case <-d.quit:
			return
		case <-time.After(time.Second / slices):
		}
		for next := min(len(d.fds), (turn+1)*len(d.fds)/(slices*arriving)+1); come < next; come++ {
			if d.failed = d.connect(come); d.failed != nil {
				return
			}
			if come == len(d.fds)-1 {
				close(d.all)
			}
		}
		for i := turn % slices; i < come; i += slices {
			if d.failed = d.drop(i); d.failed != nil {
				return
			}
		}
	}
}

// drop sends the next byte of a client.
func (d *dripper) drop(i int) error {
	at := d.sent[i] % len(dripped)
	d.sent[i]++
	if _, err := unix.SendmsgN(d.fds[i], []byte{dripped[at]}, nil, nil, unix.MSG_NOSIGNAL); err == nil {
		return nil
	}
	d.cut++
	unix.Close(d.fds[i])
	return d.connect(i)
}
