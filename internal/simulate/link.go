package simulate

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// linkTimeout is how long a request may take.
const linkTimeout = 30 * time.Second

// A link is a connection over which devices speak one after the other. It is
// lean: a client that costs more than the server measures itself.
type link struct {
	server  *url.URL
	conn    net.Conn
	in      *bufio.Reader
	request bytes.Buffer
	address [4]byte // whom the proxy that we are speaks for
}

// An answer is what the server said.
type answer struct {
	status int
	body   []byte
}

// errStatus is wrapped by an answer that is not the one hoped for.
var errStatus = errors.New("the server refused")

// do sends a request and reads its answer, the body no faster than rate bytes
// a second; 0: as it comes. Without keep the body is thrown away.
func (l *link) do(method, path, contentType string, body []byte, rate int, keep bool) (answer, error) {
	a, err := l.try(method, path, contentType, body, rate, keep)
	if err != nil {
		l.close()
	}
	return a, err
}

func (l *link) try(method, path, contentType string, body []byte, rate int, keep bool) (answer, error) {
	if err := l.open(); err != nil {
		return answer{}, err
	}
	l.conn.SetDeadline(time.Now().Add(linkTimeout))
	l.request.Reset()
	fmt.Fprintf(&l.request, "%s %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %d.%d.%d.%d\r\n", method, path, l.server.Host,
		l.address[0], l.address[1], l.address[2], l.address[3])
	if body != nil {
		l.request.WriteString("Content-Type: " + contentType + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	l.request.WriteString("\r\n")
	l.request.Write(body)
	if _, err := l.conn.Write(l.request.Bytes()); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	if keep || resp.StatusCode >= 300 {
		a.body, err = io.ReadAll(resp.Body)
	} else {
		err = l.discard(resp.Body, rate)
	}
	if resp.Close {
		l.close()
	}
	return a, err
}

// discard reads a body no faster than rate bytes a second.
func (l *link) discard(body io.Reader, rate int) error {
	if rate == 0 {
		_, err := io.Copy(io.Discard, body)
		return err
	}
	for {
		n, err := io.CopyN(io.Discard, body, int64(rate/10)+1)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		l.conn.SetDeadline(time.Now().Add(linkTimeout))
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
}

func (l *link) open() (err error) {
	if l.conn != nil {
		return nil
	}
	dialer := &net.Dialer{Timeout: linkTimeout}
	if l.server.Scheme == "https" {
		l.conn, err = tls.DialWithDialer(dialer, "tcp", withPort(l.server, "443"), &tls.Config{ServerName: l.server.Hostname()})
	} else {
		l.conn, err = dialer.Dial("tcp", withPort(l.server, "80"))
	}
	if err != nil {
		l.conn = nil
		return err
	}
	if l.in == nil {
		l.in = bufio.NewReaderSize(nil, 4<<10)
	}
	l.in.Reset(l.conn)
	return nil
}

func withPort(u *url.URL, port string) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (l *link) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}
