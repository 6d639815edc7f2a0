//go:build unix

package blob_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
)

// A stallingProxy stands before a store and passes on what it is given until
// it is told to stall: then connections stay, and no byte moves any more once
// so many have gone.
type stallingProxy struct {
	net.Listener
	target string
	// Bytes that still go to the store, and come from it.
	toStore, fromStore atomic.Int64
	stopped            chan struct{}
}

const noStall = 1 << 40

// throughProxy returns a location that leads through a proxy to the store.
func throughProxy(t *testing.T, location string) (*stallingProxy, string) {
	t.Helper()
	_, query, _ := strings.Cut(location, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := url.Parse(values.Get("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	p := &stallingProxy{target: endpoint.Host, stopped: make(chan struct{})}
	p.flow()
	if p.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := p.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		p.Close()
		close(p.stopped)
		conns.Wait()
	})
	return p, strings.Replace(location, endpoint.Host, p.Addr().String(), 1)
}

func (p *stallingProxy) flow() {
	p.toStore.Store(noStall)
	p.fromStore.Store(noStall)
}

func (p *stallingProxy) serve(client net.Conn) {
	defer client.Close()
	store, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer store.Close()
	ended := make(chan struct{}, 2)
	go func() { p.pass(store, client, &p.toStore); ended <- struct{}{} }()
	go func() { p.pass(client, store, &p.fromStore); ended <- struct{}{} }()
	select {
	case <-ended:
	case <-p.stopped:
	}
}

// pass passes bytes on while there are any left.
func (p *stallingProxy) pass(to io.Writer, from io.Reader, left *atomic.Int64) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if left.Add(-int64(n)) < 0 {
			<-p.stopped
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

const stall = 300 * time.Millisecond

// gaveUp fails unless f says in time that the store is not available.
func gaveUp(t *testing.T, what string, f func() error) {
	t.Helper()
	start := time.Now()
	err := f()
	if took := time.Since(start); !errors.Is(err, blob.ErrUnavailable) || took < stall/2 || took > 10*time.Second {
		t.Errorf("%s: after %s: %v, want ErrUnavailable", what, took, err)
	}
}

func TestABodyThatStallsIsGivenUp(t *testing.T) {
	proxy, location := throughProxy(t, s3.Bucket(t))
	s := openS3(t, location, blob.S3Config{Stall: stall})
	data, digest := large(t, 12<<20)
	put := func() error {
		_, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data))
		return err
	}
	proxy.toStore.Store(1 << 20) // in the middle of the first part
	gaveUp(t, "an upload whose bytes nobody takes", put)
	proxy.flow()
	proxy.fromStore.Store(0)
	gaveUp(t, "an upload that nobody answers", put)
	proxy.flow()
	if err := put(); err != nil {
		t.Fatalf("afterwards: %v", err)
	}

	read := func() error {
		f, _, err := s.Open(digest)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		return err
	}
	proxy.fromStore.Store(1 << 20)
	gaveUp(t, "a download that ends in the middle", read)
	proxy.fromStore.Store(0)
	gaveUp(t, "a download that does not begin", read)
	proxy.flow()
	wantBlob(t, s, data, digest)
}

// A reader that takes its time is no store that stalls.
func TestASlowReaderIsNotCutOff(t *testing.T) {
	_, location := throughProxy(t, s3.Bucket(t))
	s := openS3(t, location, blob.S3Config{Stall: stall})
	data, digest := large(t, 12<<20)
	if _, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	f, _, err := s.Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, len(data))
	for i := range 3 {
		part := got[i*len(data)/3 : (i+1)*len(data)/3]
		if _, err := io.ReadFull(f, part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * stall)
	}
	if !bytes.Equal(got, data) {
		t.Error("other bytes")
	}
}

// A copy that stalls on its way is none, and the next one is made.
func TestACopyThatStallsIsNoCopy(t *testing.T) {
	proxy, location := throughProxy(t, s3.Bucket(t))
	s := openS3(t, location, blob.S3Config{Stall: stall, Cache: t.TempDir()})
	data, digest := large(t, 12<<20)
	if _, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	proxy.fromStore.Store(1 << 20)
	gaveUp(t, "a download through a copy", func() error { _, _, err := s.Open(digest); return err })
	proxy.flow()
	wantBlob(t, s, data, digest)
}
