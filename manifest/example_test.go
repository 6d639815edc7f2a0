package manifest_test

import (
	"crypto/sha256"
	"fmt"
	"log"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/version"
)

// A manifest says what a release is. Signing it is package trust's.
func Example() {
	firmware := []byte("the image of release 2.1.0")
	v, err := version.Parse("2.1.0")
	if err != nil {
		log.Fatal(err)
	}
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, 5), v)
	if err := m.SetImage(sha256.Sum256(firmware), int64(len(firmware))); err != nil {
		log.Fatal(err)
	}
	notes := manifest.Document{Notes: "Security patch", CVEs: []string{"CVE-2024-12345"}}
	_, m.ReleaseDigest, err = notes.Encode()
	if err != nil {
		log.Fatal(err)
	}
	payload, err := m.Encode()
	if err != nil {
		log.Fatal(err)
	}
	again, err := manifest.Decode(payload)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.DeviceType, again.Version, "is release", again.Sequence, "of", again.ImageSize, "bytes")

	m.DeviceType = "../etc"
	fmt.Println(m.Validate())
	// Output:
	// sensor_v1 2.1.0 is release 1.5 of 26 bytes
	// manifest: device type: invalid field: name "../etc": byte 0 is not a letter, digit, '.', '_', '-' or ':'
}
