//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

// superuser is the role that owns a test server.
const superuser = "ota"

// A Server is one PostgreSQL server. It ends with the test process, however
// that ends.
type Server struct {
	bin, data, socket string
	remove            string // directory that goes with the server, or empty
	databases         int

	process *exec.Cmd
	stdin   io.Closer // of its keeper, which ends the server when this is closed
}

// keeper runs the server until its own standard input ends, and then removes
// the directory, if it was given one: the test process may be killed, and then
// nobody else would do either.
const keeper = `"$@" & server=$!
cat >/dev/null
kill -INT $server 2>/dev/null
wait $server
[ -z "$OTA_REMOVE" ] || rm -rf "$OTA_REMOVE"`

// Start starts a server that only this test uses, so that the test may stop
// it.
func Start(t testing.TB) *Server {
	t.Helper()
	s := newServer(t, false)
	t.Cleanup(func() {
		s.Stop()
		os.RemoveAll(s.socket)
	})
	return s
}

// binaries returns the directory of PostgreSQL's programs.
func binaries(t testing.TB) string {
	t.Helper()
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		return filepath.Dir(slices.Max(found))
	}
	return filepath.Dir(testenv.Tool(t, "initdb", "postgresql"))
}

func newServer(t testing.TB, remove bool) *Server {
	t.Helper()
	bin := binaries(t)
	dir, err := os.MkdirTemp("", "ota-pg-") // short: the name of a socket has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{bin: bin, data: filepath.Join(dir, "data"), socket: dir}
	if remove {
		s.remove = dir
	}
	if err := errors.Join(giveAway(dir), s.init(), s.start()); err != nil {
		os.RemoveAll(dir)
		t.Fatal(err)
	}
	return s
}

func (s *Server) init() error {
	cmd := s.command("initdb", "--pgdata", s.data, "--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// command runs one of PostgreSQL's programs as a user that it accepts.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.socket
	demote(cmd)
	return cmd
}

// start starts the server and waits until it answers. It does not sync: tests
// kill our processes, not the machine.
func (s *Server) start() error {
	cmd := s.command("postgres", "-D", s.data, "-k", s.socket, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "max_connections=500", "-c", "shared_buffers=16MB", "-c", "log_min_messages=fatal")
	kept := exec.Command("/bin/sh", append([]string{"-c", keeper, "sh"}, cmd.Args...)...)
	kept.Dir = cmd.Dir
	kept.Env = append(os.Environ(), "OTA_REMOVE="+s.remove)
	demote(kept)
	log, err := os.OpenFile(filepath.Join(s.socket, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	kept.Stdout, kept.Stderr = log, log
	if s.stdin, err = kept.StdinPipe(); err != nil {
		return err
	}
	if err := kept.Start(); err != nil {
		return err
	}
	s.process = kept
	return s.await(30 * time.Second)
}

func (s *Server) await(patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := s.exec("SELECT 1")
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(s.socket, "log"))
			s.Stop()
			return fmt.Errorf("postgres does not answer: %w\n%s", err, log)
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

// Restart starts a server that was stopped.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// exec runs a statement as superuser.
func (s *Server) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// Exec runs a statement as superuser in the database of a location.
func (s *Server) Exec(t testing.TB, location, statement string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), location)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Database makes an empty place and returns its location: a schema, which is
// made in a hundredth of the time that a database takes.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	if err := s.exec("CREATE SCHEMA " + name); err != nil {
		t.Fatal(err)
	}
	return s.url("postgres") + "&search_path=" + name
}

func (s *Server) url(database string) string {
	query := url.Values{"host": {s.socket}}
	return "postgres://" + superuser + "@/" + database + "?" + strings.ReplaceAll(query.Encode(), "%2F", "/")
}

// Rot overwrites what a table's first page says about itself, as a dying disk
// does, while the server is stopped for a moment.
func (s *Server) Rot(table, location string) error {
	conn, err := pgx.Connect(context.Background(), location)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	var file string
	if err := conn.QueryRow(context.Background(), "SELECT pg_relation_filepath($1)", table).Scan(&file); err != nil {
		return err
	}
	s.Stop()
	f, err := os.OpenFile(filepath.Join(s.data, file), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strings.Repeat("rotten! ", 8)), 0)
	return errors.Join(err, f.Close(), s.start())
}
