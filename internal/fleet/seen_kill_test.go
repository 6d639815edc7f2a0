package fleet_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
)

// Environment of a test binary that is a server which writes last-seen times of
// its devices, from a nonce on, until it is killed.
const (
	childDir      = "OTA_TEST_SEEN_DIR"
	childDatabase = "OTA_TEST_SEEN_DATABASE"
	childBlobs    = "OTA_TEST_SEEN_BLOBS"
	childNonce    = "OTA_TEST_SEEN_NONCE"
)

const childDevices = 500 // on three pages

func childDevice(i int) string { return fmt.Sprintf("dev-%04d", i) }

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, seeForEver(dir, os.Getenv(childNonce)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// seeForEver says each nonce that is written, and merges the log after every
// third.
func seeForEver(dir, from string) error {
	ctx := context.Background()
	nonce, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		return err
	}
	repo, err := repository.Open(ctx, repository.Config{Dir: dir, Database: os.Getenv(childDatabase), Blobs: os.Getenv(childBlobs)})
	if err != nil {
		return err
	}
	clock := time.Now()
	f, err := fleet.OpenUnread(ctx, fleet.Config{
		Repository: repo, Masters: auth.OpenMasters(filepath.Join(dir, "secrets")),
		Now: func() time.Time { clock = clock.Add(time.Minute); return clock },
	})
	if err != nil {
		return err
	}
	if err := f.Read(ctx); err != nil {
		return err
	}
	for ; ; nonce++ {
		for i := range childDevices {
			r := check(nonce)
			r.Device = childDevice(i)
			if _, err := f.Check(ctx, r, ""); err != nil {
				return err
			}
		}
		if err := f.SyncSeen(ctx); err != nil {
			return err
		}
		fmt.Println(nonce)
		if nonce%3 == 0 {
			if err := f.MergeSeen(ctx); err != nil {
				return err
			}
		}
	}
}

// Whatever a server does when it is killed, what it has written stands, in the
// log or in the pages.
func TestWhatIsWrittenSurvivesAKill(t *testing.T) {
	s := otatest.New(t)
	err := quiet(t, s, nil).Populate(t.Context(), auth.Actor{Name: "test", Role: auth.Administrator}, otatest.DeviceType, childDevices,
		func(i int) fleet.Seed {
			return fleet.Seed{NewDevice: fleet.NewDevice{Ref: ref(childDevice(i)), Level: fleet.Keyed}, Installed: fleet.Running{Digest: factory}, KeysetVersion: 1}
		})
	if err != nil {
		t.Fatal(err)
	}
	kills := 10
	if os.Getenv("OTA_LONG") != "" {
		kills = 500
	}
	written := uint64(0)
	for range kills {
		written = killWriter(t, s.Server.Repository().Dir(), written+1)
		f := quiet(t, s, nil)
		for i := range childDevices {
			if d, err := f.Device(ref(childDevice(i))); err != nil || d.CheckNonce < written {
				t.Fatalf("%s: nonce %d, and %d was written: %v", childDevice(i), d.CheckNonce, written, err)
			}
		}
	}
	if problems, err := s.Server.Repository().Store().Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// killWriter lets a child write for a moment, kills it, and returns the last
// nonce that it had written.
func killWriter(t *testing.T, dir string, from uint64) (written uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	database, blobs := place.Of(t, dir)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDatabase+"="+database, childBlobs+"="+blobs, childNonce+"="+strconv.FormatUint(from, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseUint(strings.TrimSpace(lines.Text()), 10, 64)
		if err != nil {
			t.Errorf("the child says %q", lines.Text())
		}
		if written == 0 {
			time.AfterFunc(time.Duration(rand.IntN(200))*time.Millisecond, func() { cmd.Process.Kill() })
		}
		written = n
	}
	cmd.Wait() // killed
	if written == 0 {
		t.Fatal("the child has written nothing")
	}
	return written
}
