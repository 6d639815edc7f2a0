package server_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
)

// An outage takes the database away, and gives it back.
type outage struct {
	database func(*testing.T) string // its location; nil: SQLite in the data directory
	begin    func(*testing.T)
	end      func(*testing.T)
}

// lockedFile is a file of SQLite that somebody locks and does not let go of.
func lockedFile(dir string) outage {
	var holder *sql.DB
	return outage{
		begin: func(t *testing.T) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "ota.db")+"?_pragma=busy_timeout(10000)")
			if err == nil {
				db.SetMaxOpenConns(1)
				_, err = db.Exec(`BEGIN EXCLUSIVE`)
			}
			if err != nil {
				t.Fatal(err)
			}
			holder = db
		},
		end: func(t *testing.T) {
			if _, err := holder.Exec(`ROLLBACK`); err != nil {
				t.Error(err)
			}
			holder.Close()
		},
	}
}

// withPostgres is an outage of a PostgreSQL server.
func withPostgres(begin, end func(*postgres.Server, *testing.T)) outage {
	var s *postgres.Server
	return outage{
		database: func(t *testing.T) string {
			s = postgres.Start(t)
			return s.Database(t)
		},
		begin: func(t *testing.T) { begin(s, t) },
		end:   func(t *testing.T) { end(s, t) },
	}
}

// How long the outages of tests last.
func outageTime() (lasts, pause time.Duration) {
	if os.Getenv("OTA_LONG") != "" {
		return 15 * time.Minute, 2 * time.Second
	}
	return 8 * time.Second, 250 * time.Millisecond
}

// While the database is gone, devices are told what is known, and get what was
// published: releases, images, keysets and keys. What would have to be kept is
// refused at once. Afterwards everything goes on, and nobody was needed.
func TestDevicesAreServedAsLongAsTheDatabaseIsGone(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]outage{
		"a locked file":      lockedFile(dir),
		"PostgreSQL hangs":   withPostgres(func(s *postgres.Server, t *testing.T) { s.Pause(t) }, func(s *postgres.Server, t *testing.T) { s.Resume(t) }),
		"PostgreSQL is gone": withPostgres(func(s *postgres.Server, _ *testing.T) { s.Stop() }, func(s *postgres.Server, t *testing.T) { s.Restart(t) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := otatest.New(t, otatest.Options{Config: func(c *server.Config) {
				c.Dir, c.Database, c.Blobs = t.TempDir(), "", ""
				if o.database != nil {
					c.Database = o.database(t)
				} else {
					c.Dir = dir
				}
			}})
			servedThrough(t, s, o)
		})
	}
}

// served is what is asked for during an outage.
type served struct {
	*testing.T
	s                       *otatest.System
	image                   []byte
	release                 api.Release
	steady, moved, reporter server.Provisioning
	nonce                   uint64
	slowest, first          time.Duration
}

func servedThrough(t *testing.T, s *otatest.System, o outage) {
	v := &served{T: t, s: s, image: bytes.Repeat([]byte("firmware"), 20_000)}
	v.release = s.Publish("1.1.0", v.image)
	v.steady, v.moved, v.reporter = s.Device("dev-steady"), s.Device("dev-moved"), s.Device("dev-reporter")
	if answer := v.check(v.steady); answer != v.release.ManifestHash.String() {
		t.Fatalf("offered is %s", answer)
	}
	lasts, pause := outageTime()
	o.begin(t)
	start, rounds := time.Now(), 0
	for time.Since(start) < lasts {
		v.round(time.Since(start))
		rounds++
		time.Sleep(pause)
	}
	o.end(t)
	back := time.Now()
	soon(t, "a report afterwards", func() error {
		status, err := report(t, s, v.reporter, 1)
		if err == nil && status != http.StatusNoContent {
			err = errors.New(http.StatusText(status))
		}
		return err
	})
	soon(t, "a change afterwards", v.change)
	healed := time.Since(back)
	if answer := v.check(v.moved); answer != v.release.ManifestHash.String() {
		t.Errorf("a device that could not be told in time is offered %s", answer)
	}
	if healed > 5*time.Second {
		t.Errorf("it took %s to heal", healed)
	}
	if found, err := s.Server.Repository().Fsck(t.Context()); err != nil || !found.Sound() {
		t.Errorf("%v, %v", found.Problems, err)
	}
	t.Logf("%s without the database, %d rounds of a check, a download, a keyset, a key, a report and a change: the first refusal after %s, later none of them took more than %s; healed after %s",
		lasts, rounds, v.first.Round(time.Millisecond), v.slowest.Round(time.Millisecond), healed.Round(time.Millisecond))
}

// round asks for everything once. Who finds out that the database is gone
// waits for it.
func (v *served) round(since time.Duration) {
	v.Helper()
	limit := 2 * time.Second
	if since < 4*time.Second {
		limit = 6 * time.Second
	}
	timed := func(what string, f func()) {
		v.Helper()
		start := time.Now()
		f()
		took := time.Since(start)
		if took > limit {
			v.Errorf("%s after the beginning, %s took %s", since.Round(time.Second), what, took)
		}
		if since >= 4*time.Second {
			v.slowest = max(v.slowest, took)
		} else {
			v.first = max(v.first, took)
		}
	}
	timed("a report", v.refusedReport)
	timed("a change", func() {
		if err := v.change(); !errors.Is(err, api.ErrUnavailable) {
			v.Errorf("a change: %v", err)
		}
	})
	timed("a check", func() {
		if answer := v.check(v.steady); answer != v.release.ManifestHash.String() {
			v.Errorf("a device is offered %s", answer)
		}
	})
	timed("a check with news", func() { v.check(v.moved) })
	base, release := v.s.PlainURL+"/v1/", v.s.Release.Public()
	for path, want := range map[string][]byte{
		"firmware/" + v.release.ImageDigest.String() + "?device=" + v.steady.Device: v.image,
		"manifest/" + v.release.ManifestHash.String():                               nil,
		"keyset/sensor_v1/latest":                                                   v.s.Keyset,
		"keyset/sensor_v1/1":                                                        v.s.Keyset,
		"key/" + release.ID().String():                                              release.COSEKey(),
	} {
		timed(path, func() {
			resp, body := ask(v.T, http.DefaultClient, "GET", base+path)
			if resp.StatusCode != http.StatusOK || want != nil && body != string(want) {
				v.Errorf("%s: status %d, %d bytes", path, resp.StatusCode, len(body))
			}
		})
	}
}

func (v *served) check(p server.Provisioning) (offered string) {
	v.Helper()
	v.nonce++
	return checkIn(v.T, v.s, p, v.nonce).ManifestHash.String()
}

// change is a change of an operator over the API.
func (v *served) change() error {
	ctx, cancel := context.WithTimeout(v.Context(), time.Minute)
	defer cancel()
	_, err := v.s.Remote().AddEnrolmentCode(ctx, server.NewCode{DeviceType: otatest.DeviceType})
	return err
}

// refusedReport sends a report, which is refused with the time to come again,
// and so is a change to whoever speaks HTTP by hand.
func (v *served) refusedReport() {
	v.Helper()
	if status, err := report(v.T, v.s, v.reporter, 1); err != nil || status != http.StatusServiceUnavailable {
		v.Errorf("a report is answered %d, %v", status, err)
	}
	req, err := http.NewRequest("POST", v.s.URL+"/api/v1/enrolment-codes", strings.NewReader(fmt.Sprintf(`{"device_type":%q}`, otatest.DeviceType)))
	if err != nil {
		v.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+v.s.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := v.s.HTTPClient().Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !bytes.Contains(body, []byte(`"unavailable"`)) {
		v.Errorf("a change is answered %d, headers %v, %s, %v", resp.StatusCode, resp.Header, body, err)
	}
}
