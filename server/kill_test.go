package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// A vendor has the keys of a type, and what was acknowledged to it.
type vendor struct {
	*testing.T
	release *signing.Key
	bundle  trust.Bundle
	number  uint32
	token   string
	keys    trust.DeviceKeys
	nonce   atomic.Uint64

	// What was signed last, to be published at another replica.
	image  []byte
	signed trust.Bundle

	mu        sync.Mutex
	reports   map[uint64]bool          // nonces of acknowledged reports
	published map[manifest.Digest]bool // identities of acknowledged releases
	acks      chan struct{}            // one for each
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{T: t, reports: map[uint64]bool{}, published: map[manifest.Digest]bool{}, acks: make(chan struct{}, 10_000)}
	generate := func() *signing.Key {
		k, err := signing.Generate(trust.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	root := generate()
	v.release = generate()
	raw, err := trust.UnsignedKeyset(&trust.Keyset{
		Vendor: "acme", DeviceType: "sensor_v1", Version: 1,
		Roots: []trust.SignerKey{{ID: root.Public().ID(), Algorithm: trust.Ed25519}}, RootThreshold: 1,
		Releases: []trust.SignerKey{{ID: v.release.Public().ID(), Algorithm: trust.Ed25519, Epoch: 1}}, ReleaseThreshold: 1,
	})
	if err == nil {
		raw, err = trust.SignKeyset(raw, root)
	}
	if err != nil {
		t.Fatal(err)
	}
	v.bundle = trust.Bundle{Keysets: [][]byte{raw}, Keys: trust.NewKeyRing(root.Public(), v.release.Public())}
	return v
}

func (v *vendor) client(c *child) *api.Client {
	v.Helper()
	client, err := api.NewClient(api.ClientConfig{URL: c.TLS, Token: auth.Token(v.token), Fingerprint: c.Fingerprint})
	if err != nil {
		v.Fatal(err)
	}
	return client
}

// sign returns the next release of an image.
func (v *vendor) sign(image []byte) (trust.Bundle, *manifest.Manifest) {
	v.number++
	ver, err := version.Parse("1." + strconv.Itoa(int(v.number)) + ".0")
	if err != nil {
		v.Fatal(err)
	}
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, v.number), ver)
	if err := m.SetImage(sha256.Sum256(image), int64(len(image))); err != nil {
		v.Fatal(err)
	}
	raw, err := trust.UnsignedManifest(m)
	if err == nil {
		raw, err = trust.SignManifest(raw, v.release)
	}
	if err != nil {
		v.Fatal(err)
	}
	return trust.Bundle{Manifest: raw}, m
}

// reportUntilKilled sends reports and notes which were acknowledged.
func (v *vendor) reportUntilKilled(url string) {
	for {
		r := trust.Report{
			Device: "dev-0001", DeviceType: "sensor_v1", Nonce: v.nonce.Add(1), Event: trust.EventFailed,
			ImageDigest: sha256.Sum256([]byte("factory")), Reason: trust.ErrInternal,
		}
		raw, err := r.Seal(v.keys.Up)
		if err != nil {
			v.Error(err)
			return
		}
		resp, err := http.Post(url+"/v1/report", "application/cose", bytes.NewReader(raw))
		if err != nil {
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusNoContent {
			v.mu.Lock()
			v.reports[r.Nonce] = true
			v.mu.Unlock()
			v.acks <- struct{}{}
		} else {
			time.Sleep(20 * time.Millisecond) // its rate is used up
		}
	}
}

// publishUntilKilled uploads and publishes one image after the other.
func (v *vendor) publishUntilKilled(ctx context.Context, c *api.Client) {
	for ctx.Err() == nil {
		image := make([]byte, 1+mathrand.IntN(16<<20>>mathrand.IntN(8))) // many small ones, and in S3 some of several parts
		rand.Read(image)
		bundle, m := v.sign(image)
		v.image, v.signed = image, bundle
		if err := c.Upload(ctx, m.ImageDigest, int64(len(image)), bytes.NewReader(image), nil); err != nil {
			return
		}
		release, err := c.AddRelease(ctx, bundle)
		if err != nil {
			return
		}
		v.mu.Lock()
		v.published[release.Identity] = true
		v.mu.Unlock()
		v.acks <- struct{}{}
	}
}

// verify holds what a killed server kept against what was acknowledged.
func (v *vendor) verify(at site) {
	v.Helper()
	ctx := v.Context()
	repo, err := repository.Open(ctx, repository.Config{Dir: at.dir, Database: at.database, Blobs: at.blobs})
	if err != nil {
		v.Fatal(err)
	}
	defer repo.Close()
	report, err := repo.Fsck(ctx)
	if err != nil || !report.Sound() {
		v.Fatalf("fsck: %+v, %v", report.Problems, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for identity := range v.published {
		if _, err := repo.Release(ctx, identity); err != nil {
			v.Errorf("an acknowledged release is gone: %v", err)
		}
	}
	recorded := map[uint64]int{}
	for r, err := range repo.Store().AllAuditRecords(ctx) {
		if err != nil {
			v.Fatal(err)
		}
		if r.Action == "device.report.failed" {
			var after struct{ Nonce string }
			if err := json.Unmarshal(r.After, &after); err != nil {
				v.Fatal(err)
			}
			nonce, err := strconv.ParseUint(after.Nonce, 10, 64)
			if err != nil {
				v.Fatal(err)
			}
			recorded[nonce]++
		}
	}
	for nonce := range v.reports {
		if recorded[nonce] != 1 {
			v.Errorf("acknowledged report %d is recorded %d times", nonce, recorded[nonce])
		}
	}
}

// kills is how often a server is killed: OTA_KILLS, or 1,000 in the long form,
// or 100. Fewer, if the time of the test is over before.
func kills(t *testing.T) int {
	t.Helper()
	switch text := os.Getenv("OTA_KILLS"); {
	case text != "":
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("OTA_KILLS: %v", err)
		}
		return n
	case os.Getenv("OTA_LONG") != "":
		return 1000
	}
	return 100
}

// timeIsUp reports whether a test has to come to an end before its time-out.
func timeIsUp(t *testing.T) bool {
	end, bounded := t.Deadline()
	return bounded && time.Until(end) < time.Minute
}

// restartLimit is how long a server that was killed may take until it listens
// again.
const restartLimit = 5 * time.Second

func TestWhatWasAcknowledgedSurvivesKill9(t *testing.T) {
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		survivesKills(t, site{dir: t.TempDir()}, nil)
	})
	t.Run("PostgreSQL and S3", func(t *testing.T) {
		t.Parallel()
		at := site{t.TempDir(), postgres.Database(t), s3.Bucket(t)}
		survivesKills(t, at, func() *child {
			other := at // the second replica, which is never killed
			other.dir = t.TempDir()
			copySecrets(t, at.dir, other.dir)
			return startAt(t, other)
		})
	})
}

// survivesKills kills a server again and again while it takes uploads,
// publications and reports. another, if there is one, starts a second replica,
// which must go on with what the first one broke off.
func survivesKills(t *testing.T, at site, another func() *child) {
	v := newVendor(t)
	var second *child
	points, slowest := 0, time.Duration(0)
	for point := range kills(t) {
		if timeIsUp(t) {
			break
		}
		points++
		start := time.Now()
		c := startAt(t, at)
		if took := time.Since(start); took > restartLimit {
			t.Errorf("kill %d: the server took %s to start", point, took)
		} else {
			slowest = max(slowest, took)
		}
		if c.Token != "" {
			v.token = c.Token
		}
		client := v.client(c)
		if point == 0 {
			v.provision(client)
			if another != nil {
				second = another()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		if point%3 != 1 {
			working.Go(func() { v.reportUntilKilled(c.Plain) })
		}
		if point%3 != 0 {
			working.Go(func() { v.publishUntilKilled(ctx, client) })
		}
		v.awaitAcks(mathrand.IntN(4) + point%3%2) // publications alone: at least one
		time.Sleep(time.Duration(mathrand.IntN(40)) * time.Millisecond)
		c.kill()
		cancel()
		working.Wait()
		if second != nil {
			v.goOn(v.client(second))
		}
		v.verify(at)
	}
	t.Logf("%d kills: %d reports and %d releases were acknowledged, and each is there once; the slowest start took %s",
		points, len(v.reports), len(v.published), slowest.Round(time.Millisecond))
	if len(v.reports) < points/3 || len(v.published) < points/5 {
		t.Error("the server was killed before it did anything: the test proves nothing")
	}
}

// goOn publishes at another replica what the killed one may have begun: the
// last image and release that were signed.
func (v *vendor) goOn(c *api.Client) {
	v.Helper()
	if v.image == nil {
		return
	}
	if err := c.Upload(v.Context(), sha256.Sum256(v.image), int64(len(v.image)), bytes.NewReader(v.image), nil); err != nil {
		v.Errorf("the other replica does not go on with an upload: %v", err)
		return
	}
	release, err := c.AddRelease(v.Context(), v.signed)
	if err != nil {
		v.Errorf("the other replica does not publish: %v", err)
		return
	}
	v.published[release.Identity] = true
}

// awaitAcks waits until so many things were acknowledged, so that a slow
// machine is killed at the same points as a fast one.
func (v *vendor) awaitAcks(n int) {
	for len(v.acks) > 0 {
		<-v.acks // of the server before
	}
	for range n {
		select {
		case <-v.acks:
		case <-time.After(5 * time.Second):
			return
		}
	}
}

func (v *vendor) provision(c *api.Client) {
	v.Helper()
	if _, err := c.AddKeyset(v.Context(), v.bundle); err != nil {
		v.Fatal(err)
	}
	p, err := c.AddDevice(v.Context(), fleet.NewDevice{Ref: fleet.Ref{DeviceType: "sensor_v1", ID: "dev-0001"}})
	if err != nil {
		v.Fatal(err)
	}
	if v.keys.Up, err = trust.ParseDeviceKey(p.UpKey); err != nil {
		v.Fatal(err)
	}
}

func TestAnUploadGoesOnWhereAKilledServerLeftIt(t *testing.T) {
	t.Parallel()
	dir, v := t.TempDir(), newVendor(t)
	image := make([]byte, 24<<20)
	rand.Read(image)
	digest := manifest.Digest(sha256.Sum256(image))
	c := startChild(t, dir)
	v.token = c.Token
	v.provision(v.client(c))
	kills := 0
	for {
		client := v.client(c)
		ctx, cancel := context.WithCancel(t.Context())
		half := false
		err := client.Upload(ctx, digest, int64(len(image)), bytes.NewReader(image), func(done, total int64) {
			if kills < 3 && done > int64(kills+1)*total/5 && !half {
				half = true
				go func() { c.kill(); cancel() }()
			}
		})
		cancel()
		if err == nil {
			break
		}
		if kills++; kills > 3 {
			t.Fatal(err)
		}
		c.kill()
		c = startChild(t, dir)
	}
	if kills == 0 {
		t.Error("the server was never killed")
	}
	bundle, _ := v.sign(image)
	if _, err := v.client(c).AddRelease(t.Context(), bundle); err != nil {
		t.Fatal(err)
	}
	records, err := v.client(c).AuditRecords(t.Context(), audit.Filter{Action: "release.publish"})
	if err != nil || len(records) != 1 {
		t.Errorf("%d records of a publication, %v", len(records), err)
	}
}
