package repository

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/signing"
)

// The test binary publishes to the directory childEnv names, releases of the
// types in typesEnv, until it is killed or has published as many as countEnv.
const (
	childEnv    = "REPOSITORY_TEST_CHILD"
	databaseEnv = "REPOSITORY_TEST_DATABASE" // as Config
	blobsEnv    = "REPOSITORY_TEST_BLOBS"
	typesEnv    = "REPOSITORY_TEST_TYPES"
	countEnv    = "REPOSITORY_TEST_COUNT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		count, _ := strconv.Atoi(os.Getenv(countEnv))
		if err := publishForever(dir, strings.Fields(os.Getenv(typesEnv)), count); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// seeded returns a vendor whose keys parent and children share.
func seeded(deviceType string) *vendor {
	key := func(role byte) *signing.Key {
		seed := make([]byte, ed25519.SeedSize)
		copy(seed[1:], deviceType)
		seed[0] = role
		return must(signing.FromPrivate(ed25519.NewKeyFromSeed(seed)))
	}
	return &vendor{deviceType: deviceType, roots: []*signing.Key{key(1)}, releases: []*signing.Key{key(2)}, threshold: 1}
}

// numbered is the n-th release of a type, as one publisher would have it. Its
// image takes several writes.
func numbered(deviceType string, n int, publisher string) draft {
	image := bytes.Repeat([]byte(fmt.Sprintf("%s %d %s\n", deviceType, n, publisher)), 1000*(1+n*7%30))
	return draft{number: uint32(n), version: fmt.Sprintf("1.%d.0", n), image: image}
}

// publishForever publishes, and prints type and number of each release once it
// is acknowledged.
func publishForever(dir string, types []string, count int) error {
	r, err := Open(ctx(), Config{Dir: dir, Database: os.Getenv(databaseEnv), Blobs: os.Getenv(blobsEnv)})
	if err != nil {
		return err
	}
	for i := 0; count == 0 || i < count; i++ {
		deviceType := types[i%len(types)]
		n, err := publishNext(r, seeded(deviceType), i, types[0])
		if err != nil {
			return err
		}
		fmt.Printf("%s %d\n", deviceType, n)
	}
	return r.Close()
}

// publishNext publishes the next release of a type, as often as it takes: a
// rival may be faster.
func publishNext(r *Repository, v *vendor, i int, publisher string) (int, error) {
	for {
		if _, err := r.AddKeyset(ctx(), alice, v.keyset(1)); err != nil {
			return 0, err
		}
		found, err := r.Versions(ctx(), v.deviceType)
		if err != nil {
			return 0, err
		}
		n := 1
		if len(found) > 0 {
			n = int(found[0].Manifest.Manifest().Sequence.Number()) + 1
		}
		b, image := v.release(numbered(v.deviceType, n, publisher))
		way := "in one stream"
		if i%2 == 1 && os.Getenv(countEnv) == "" {
			way = "by upload"
		}
		err = publishers[way](r, b, image)
		if errors.Is(err, ErrSequence) {
			continue
		}
		return n, err
	}
}

func child(t testing.TB, dir, types string, count int) *exec.Cmd {
	t.Helper()
	database, blobs := place.Of(t, dir)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, typesEnv+"="+types, databaseEnv+"="+database, blobsEnv+"="+blobs)
	if count > 0 {
		cmd.Env = append(cmd.Env, countEnv+"="+strconv.Itoa(count))
	}
	cmd.Stderr = os.Stderr
	return cmd
}

func TestPublishSurvivesKill(t *testing.T) {
	const deviceType = "sensor_v1"
	var dir string
	last, total := 0, 0
	kills := rounds(60)
	for k := range kills {
		if k%12 == 0 { // the first start is killed, too
			dir, last = t.TempDir(), 0
		}
		// Every other life ends in its start, the others among publications.
		acknowledged := killAfter(t, child(t, dir, deviceType, 0), k%2 == 0)
		total += len(acknowledged)
		database, blobs := place.Of(t, dir)
		r, err := Open(ctx(), Config{Dir: dir, Database: database, Blobs: blobs})
		if err != nil {
			t.Fatal(err)
		}
		wantSound(t, r)
		found, err := r.Versions(ctx(), deviceType)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range acknowledged {
			last++ // each release follows the one before, but one may be there that was not acknowledged
			if line == fmt.Sprintf("%s %d", deviceType, last+1) {
				last++
			}
			if line != fmt.Sprintf("%s %d", deviceType, last) {
				t.Errorf("acknowledged %q after %d", line, last-1)
			}
		}
		if len(found) != last && len(found) != last+1 {
			t.Errorf("after kill %d: %d releases, %d acknowledged", k, len(found), last)
		}
		for _, release := range found {
			if err := readable(r, release); err != nil {
				t.Errorf("after kill %d: %s: %v", k, release.Version(), err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if total < kills/2 {
		t.Errorf("%d publications in %d lives: the children hardly published", total, kills)
	}
	t.Logf("%d kills, %d publications acknowledged", kills, total)
}

// killAfter runs cmd and kills it at some moment: counted from its start, or
// from its first acknowledgement. It returns the whole lines that it printed.
func killAfter(t *testing.T, cmd *exec.Cmd, early bool) (lines []string) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer kill.Stop()
	if early {
		kill.Reset(time.Duration(rand.IntN(80_000)) * time.Microsecond)
	}
	for reader := bufio.NewReader(out); ; {
		line, err := reader.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if lines = append(lines, strings.TrimSuffix(line, "\n")); len(lines) == 1 && !early {
			kill.Reset(time.Duration(rand.IntN(40_000)) * time.Microsecond)
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Errorf("the child was not killed but ended: %v", err)
	}
	return lines
}

func TestProcessesPublishAtOnce(t *testing.T) {
	dir := t.TempDir()
	r := openDir(t, dir)
	const each = 24
	var children []*exec.Cmd
	for _, own := range []string{"left", "right"} {
		c := child(t, dir, own+" shared", each)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, c)
	}
	for i := range each / 2 { // and this process beside them
		if _, err := publishNext(r, seeded("shared"), 2*i, "parent"); err != nil {
			t.Error(err)
		}
	}
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	report := wantSound(t, r)
	if report.Releases != each*2+each/2 {
		t.Errorf("%d releases", report.Releases)
	}
	t.Logf("%d times a rival was faster", len(report.Leftovers))
	for deviceType, want := range map[string]int{"left": each / 2, "right": each / 2, "shared": each + each/2} {
		found, err := r.Versions(ctx(), deviceType)
		if err != nil || len(found) != want {
			t.Errorf("%s: %d releases, %v; want %d", deviceType, len(found), err, want)
		}
	}
}
