package rollback_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/version"
)

// A device remembers what it confirmed, and refuses to go back.
func Example() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	protection, err := rollback.Open(filepath.Join(dir, "rollback.json"))
	if err != nil {
		log.Fatal(err)
	}
	release := func(number uint32, text string) *manifest.Manifest {
		v, err := version.Parse(text)
		if err != nil {
			log.Fatal(err)
		}
		m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, number), v)
		m.ImageDigest, m.ImageSize = manifest.Digest{byte(number)}, 4096
		return m
	}
	device := rollback.Device{SlotSize: 1 << 20}

	second := release(2, "1.1.0")
	fmt.Println("1.1.0:", protection.Check(second, device))
	if err := protection.RecordVersionUpdate(rollback.EntryOf(second, manifest.Digest{})); err != nil {
		log.Fatal(err)
	}
	fmt.Println(protection.Check(release(1, "1.0.0"), device))
	fmt.Println(protection.Check(release(3, "1.0.0"), device))

	permit, err := protection.AllowRollbackTo(second.Version, "ann", "1.2.0 drifts", 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a downgrade to", permit.Version, "may be signed: it has been released", len(protection.History()), "time")
	// Output:
	// 1.1.0: <nil>
	// release 1.0.0: sequence does not rise: sequence 1.1, installed 1.2
	// release 1.0.0: version is lower and no downgrade is signed: installed is 1.1.0
	// a downgrade to 1.1.0 may be signed: it has been released 1 time
}
