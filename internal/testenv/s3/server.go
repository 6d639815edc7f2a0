//go:build unix

package s3

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/s3"
)

// Credentials of every test server.
const (
	AccessKey = "test-access"
	SecretKey = "test-secret-c4n4ry"
)

// A Server is one S3 server. It ends with the test process, however that ends.
type Server struct {
	dir     string // its buckets and objects, and what is said about them
	address string
	program string
	remove  string // directory that goes with the server, or empty
	buckets int

	process *exec.Cmd
	stdin   io.Closer // of its keeper, which ends the server when this is closed
}

// keeper runs the server until its own standard input ends, and then removes
// the directory, if it was given one.
const keeper = `"$@" & server=$!
cat >/dev/null
kill -KILL $server 2>/dev/null
wait $server 2>/dev/null
[ -z "$OTA_REMOVE" ] || rm -rf "$OTA_REMOVE"`

// shared is the server of this test process.
var shared struct {
	sync.Mutex
	*Server
}

// Bucket makes an empty bucket on a server that all tests of this process
// share, and returns its location for package blob. The environment gets the
// credentials.
func Bucket(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.Server == nil {
		shared.Server = newServer(t)
		shared.remove = shared.dir
		shared.run(t)
	}
	return shared.Bucket(t)
}

// Start starts a server that only this test uses, so that the test may stop
// it.
func Start(t testing.TB) *Server {
	t.Helper()
	s := newServer(t)
	t.Cleanup(func() {
		s.Stop()
		os.RemoveAll(s.dir)
	})
	s.run(t)
	return s
}

func newServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{program: gateway(t)}
	// It does not tell which port it chose: choose one that is free.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	l.Close()
	if s.dir, err = os.MkdirTemp("", "ota-s3-"); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"data", "about"} {
		if err := fsatomic.MkdirAll(fsatomic.OS(), filepath.Join(s.dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *Server) run(t testing.TB) {
	t.Helper()
	args := []string{"-c", keeper, "sh", s.program, "--quiet", "--port", s.address, "--access", AccessKey, "--secret", SecretKey,
		"posix", "--sidecar", filepath.Join(s.dir, "about"), filepath.Join(s.dir, "data")}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Env = append(os.Environ(), "OTA_REMOVE="+s.remove)
	cmd.Dir = s.dir
	var err error
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			s.Stop()
			t.Fatalf("the S3 server does not answer: %v", err)
		}
	}
}

// Stop ends the server: connections are cut. A server that does not run is
// left alone.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	s.stdin.Close()
	s.process.Wait()
	s.process = nil
}

// Restart starts a server that was stopped, at the same address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.run(t)
}

// Bucket makes an empty bucket and returns its location for package blob. The
// environment gets the credentials.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	os.Setenv("AWS_ACCESS_KEY_ID", AccessKey) // for the whole process: all servers have the same
	os.Setenv("AWS_SECRET_ACCESS_KEY", SecretKey)
	s.buckets++
	name := fmt.Sprintf("bucket-%d", s.buckets)
	client := s3.New(s3.Config{
		Endpoint: &url.URL{Scheme: "http", Host: s.address}, Region: "us-east-1", Bucket: name, Credentials: s3.NewCredentials("", os.Getenv),
	})
	defer client.Close()
	if err := client.CreateBucket(context.Background()); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("s3://%s/some/prefix?endpoint=http://%s&region=us-east-1", name, s.address)
}

// Directory is where the objects of a bucket are, for a test that tampers with
// them.
func (s *Server) Directory() string { return filepath.Join(s.dir, "data") }
