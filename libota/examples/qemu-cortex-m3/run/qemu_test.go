package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// The whole way, with the programs that a user runs; and all that it takes of a
// part with 4 KB of RAM.
func TestStory(t *testing.T) {
	t.Parallel()
	needTools(t)
	ota := filepath.Join(images, "ota")
	build := exec.Command("go", "build", "-trimpath", "-o", ota, "../../../../cmd/ota")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build ota: %v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--ota", ota, "--images", images}, &stdout, &stderr); code != 0 {
		t.Fatalf("it ended with %d: %s\n%s", code, &stderr, &stdout)
	}
	if testing.Verbose() {
		t.Logf("\n%s", &stdout)
	}
	var static, stack int
	_, ram, _ := strings.Cut(stdout.String(), "RAM for all this: ")
	if _, err := fmt.Sscanf(ram, "%d bytes static, %d of stack", &static, &stack); err != nil || static+stack > 4096 {
		t.Errorf("it takes %d bytes of RAM and %d of stack (%v), which are more than 4,096", static, stack, err)
	}
}

// What changes the image on its way changes nothing else: it is refused, the
// board runs on, and takes the real one.
func TestTamperedImageIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.wire.set(func(path string, _, answer []byte) []byte {
		if strings.HasPrefix(path, "/v1/firmware/") {
			answer[len(answer)/2] ^= 1
		}
		return answer
	})
	release := w.Publish("1.1.0", w.image("1.1.0"))
	w.powerOn()
	w.prints("app 1.0.0: refused, reason 21")
	w.wire.set(nil)
	w.prints("app 1.1.0: confirmed")
	w.reported(trust.EventConfirmed, release)
}

// An answer that was recorded, and a stolen server that names genuine old
// firmware in an answer to the very question.
func TestOldReleaseIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := w.Publish("1.1.0", w.image("1.1.0"))
	w.powerOn()
	w.prints("app 1.0.0: downloading")
	recorded := w.wire.overheard()
	w.prints("app 1.1.0: confirmed")
	w.wire.set(onCheck(func([]byte) []byte { return recorded }))
	w.prints("app 1.1.0: refused, reason 24")
	w.wire.set(onCheck(func(question []byte) []byte { return w.stolen(question, w.made) }))
	w.prints("app 1.1.0: refused, reason 16")
	w.wire.set(nil)
	w.reported(trust.EventRefused, release)
}

func onCheck(answer func(question []byte) []byte) attack {
	return func(path string, question, genuine []byte) []byte {
		if path == "/v1/check" {
			return answer(question)
		}
		return genuine
	}
}

// stolen answers as the server, whose keys it has, with a release of its choice.
func (w *world) stolen(question []byte, r api.Release) []byte {
	req, err := trust.OpenCheckRequest(question, func(string, string) (trust.DeviceKey, error) { return w.keys.Up, nil })
	if err != nil {
		return nil
	}
	answer, err := trust.CheckResponse{
		Device: req.Device, Nonce: req.Nonce, KeysetVersion: req.KeysetVersion, RetrySeconds: 1,
		ManifestHash: r.ManifestHash, ManifestSize: uint32(len(w.manifest(r))),
	}.Seal(w.keys.Down)
	if err != nil {
		return nil
	}
	return answer
}

// Releases that are signed and do not work: the board goes back to 1.0.0 by
// itself, and says why.
func TestBadReleasesRevert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.powerOn()
	w.prints("app 1.0.0: confirmed")
	for _, bad := range []struct {
		version string
		starts  int
		reason  trust.Reason
	}{
		{"1.2.0-broken", 1, trust.ErrHealthCheck},      // says so itself
		{"1.2.0-crashes", 3, trust.ErrWatchdogReset},   // ends in its fault handler
		{"1.2.0-hangs", 3, trust.ErrWatchdogReset},     // ends by the watchdog
		{"1.2.0-overflows", 3, trust.ErrWatchdogReset}, // its stack leaves the RAM
	} {
		w.Publish(bad.version, w.image(bad.version))
		for range bad.starts {
			w.prints("app " + bad.version + ": running")
		}
		w.prints("boot: the new image failed")
		w.prints("app 1.0.0: went back, reason " + strconv.Itoa(int(bad.reason)))
		if d := w.reported(trust.EventReverted, w.made); d.LastError != bad.reason {
			t.Errorf("%s: the server has reason %d, want %d", bad.version, d.LastError, bad.reason)
		}
	}
}

// A new release key: the board takes the keyset that says so, and asks for the
// keys that it lacks, the roots' too: it has their ids alone.
func TestNewKeysetIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next, err := signing.Generate(trust.PS256)
	w.must(err)
	parsed, err := trust.OpenHeld(w.Keyset, w.Keys)
	w.must(err)
	ks := parsed.Keyset()
	ks.Version = 2
	ks.Releases = []trust.SignerKey{{ID: next.Public().ID(), Algorithm: trust.PS256, Epoch: 2}}
	w.Keys[next.Public().ID()] = next.Public()
	_, err = w.Management().AddKeyset(t.Context(), trust.Bundle{Keysets: [][]byte{w.SignKeyset(ks, w.Roots[1:]...)}, Keys: w.Keys})
	w.must(err)

	w.powerOn()
	w.prints("app 1.0.0: new keyset")
	w.Release = next
	m := w.Manifest("1.1.0", w.image("1.1.0"))
	m.Sequence = manifest.NewSequence(2, 1)
	release := w.PublishManifest(m, w.image("1.1.0"))
	t.Log(w.prints("RAM for all this"))
	w.prints("app 1.1.0: confirmed")
	w.reported(trust.EventConfirmed, release)
}

// Power cuts at random moments of one update after the other: each ends with
// the new release running and confirmed.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	cuts := 7
	if os.Getenv("OTA_LONG") == "1" {
		cuts = 200
	}
	w := newWorld(t)
	release := w.Publish("1.1.0", w.image("1.1.0"))
	releases, inTrial := 1, 0
	for i := range cuts {
		w.powerOn()
		w.cutPower()
		inTrial++
		if w.board.Printed("installed, restarting") {
			inTrial = 1
		}
		if w.device().Confirmed.Digest == release.ImageDigest {
			releases++ // the same program with another end is another image
			release = w.Publish(fmt.Sprintf("1.1.%d", releases), append(w.image("1.1.0"), byte(i), byte(i>>8)))
		}
		w.askAgain(release, inTrial)
	}
	w.powerOn()
	for deadline := time.Now().Add(time.Minute); w.device().Confirmed.Digest != release.ImageDigest; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not confirmed: %#v", release.Version, w.device())
		}
		w.askAgain(release, inTrial)
	}
	t.Logf("%d power cuts, %d updates", cuts, releases)
}

// askAgain is the operator. Three cuts in one trial are three failed tries, and
// the board is right to go back; with fewer it is not.
func (w *world) askAgain(r api.Release, inTrial int) {
	d := w.device()
	if d.RetryRejected || !slices.Contains(d.Rejected, r.ImageDigest) {
		return
	}
	if inTrial < 3 {
		w.t.Errorf("after %d cuts the board went back: %#v", inTrial, d)
	}
	w.t.Logf("%s had %d cuts in its trial: once more", r.Version, inTrial)
	w.must(w.Management().RetryDevice(w.t.Context(), d.Ref))
}

// cutPower waits for one of the phases of an update, if it comes, and cuts the
// power somewhere in it.
func (w *world) cutPower() {
	phases := []string{"downloading", "installs the new image", "starts the new image on trial"}
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
	defer cancel()
	_, _ = w.board.WaitFor(ctx, phases[below(w.t, len(phases))])
	time.Sleep(time.Duration(below(w.t, int(700*time.Millisecond))))
	w.board.Kill()
}

func below(t *testing.T, n int) int {
	v, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		t.Fatal(err)
	}
	return int(v.Int64())
}
