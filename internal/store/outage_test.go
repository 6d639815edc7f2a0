package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// lockEnv makes the test binary hold the lock of the database that it names,
// until its standard input ends.
const lockEnv = "STORE_TEST_LOCK"

func childLocks(path string) error {
	db, err := (&sqliteEngine{path}).pool(1, "journal_mode(WAL)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec(`BEGIN EXCLUSIVE`); err != nil {
		return err
	}
	fmt.Println("locked")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// locked has another process lock a file of SQLite, and returns what makes it
// let go.
func locked(t *testing.T, path string) (release func()) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), lockEnv+"="+path)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		stdin.Close()
		child.Wait()
	})
	t.Cleanup(release)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return release
}

// within fails unless f comes to an end in time.
func within(t *testing.T, limit time.Duration, what string, f func() error) error {
	t.Helper()
	start := time.Now()
	err := f()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %s", what, took)
	}
	return err
}

// soon repeats f until it succeeds.
func soon(t *testing.T, what string, f func() error) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

const (
	firstWait = Patience + 2*time.Second // and what a loaded machine takes besides
	atOnce    = 500 * time.Millisecond
	heals     = 2 * time.Second
)

// refusedTogether has many try at the same time, none of whom waits longer than
// the first, and then some more, who do not wait at all.
func refusedTogether(t *testing.T, sentinel error, try func(context.Context) error) {
	t.Helper()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if err := within(t, firstWait, "the first of many", func() error { return try(t.Context()) }); !errors.Is(err, sentinel) {
				t.Errorf("%v, want %v", err, sentinel)
			}
		})
	}
	all.Wait()
	for range 20 { // while the database is being looked for
		time.Sleep(probeInterval / 4)
		if err := within(t, atOnce, "a later one", func() error { return try(t.Context()) }); !errors.Is(err, sentinel) {
			t.Errorf("%v, want %v", err, sentinel)
		}
	}
}

func TestALockedFileIsWaitedForOnceAndHeals(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openAt(t, path)
	change := func(ctx context.Context) error { return db.Change(ctx, entry, touch("a")) }
	if err := change(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		release := locked(t, path)
		refusedTogether(t, ErrBusy, change)
		var outage *OutageError
		if err := change(t.Context()); !errors.As(err, &outage) || time.Since(outage.Since) > firstWait {
			t.Errorf("%v, want an OutageError", err)
		}
		if n := revision(t, db, "a"); n == 0 {
			t.Error("nothing can be read")
		}
		release()
		within(t, heals, "healing", func() error {
			soon(t, "a change afterwards", func() error { return change(t.Context()) })
			return nil
		})
	}
	wantLog(t, db, 3)
}

// A lock that is let go of in time is no outage: nobody is refused.
func TestALockThatIsHeldForAMomentIsWaitedFor(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openAt(t, path)
	release := locked(t, path)
	time.AfterFunc(Patience/3, release)
	if err := db.Change(t.Context(), entry, touch("a")); err != nil {
		t.Error(err)
	}
	wantLog(t, db, 1)
}
