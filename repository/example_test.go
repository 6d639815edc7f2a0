package repository_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// Sign a release, publish it, and open it again.
func Example() {
	ctx, me := context.Background(), repository.Actor{Name: "user:alice"}
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	repo, err := repository.Open(ctx, repository.Config{Dir: dir})
	check(err)
	defer repo.Close()

	// Who may sign for the device type: one root, one release key.
	root, release := generate(), generate()
	signedKeyset, err := trust.UnsignedKeyset(&trust.Keyset{
		Vendor: "acme", DeviceType: "sensor_v1", Version: 1,
		Roots: []trust.SignerKey{{ID: root.Public().ID(), Algorithm: trust.Ed25519}}, RootThreshold: 1,
		Releases: []trust.SignerKey{{ID: release.Public().ID(), Algorithm: trust.Ed25519, Epoch: 1}}, ReleaseThreshold: 1,
	})
	check(err)
	signedKeyset, err = trust.SignKeyset(signedKeyset, root)
	check(err)
	keys := trust.NewKeyRing(root.Public(), release.Public())
	_, err = repo.AddKeyset(ctx, me, trust.Bundle{Keysets: [][]byte{signedKeyset}, Keys: keys})
	check(err)

	image := []byte("firmware 2.1.0")
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, 1), parse("2.1.0"))
	check(m.SetImage(sha256.Sum256(image), int64(len(image))))
	signed, err := trust.UnsignedManifest(m)
	check(err)
	signed, err = trust.SignManifest(signed, release)
	check(err)
	_, err = repo.AddFirmware(ctx, me, trust.Bundle{Manifest: signed}, bytes.NewReader(image))
	check(err)

	releases, err := repo.Versions(ctx, "sensor_v1")
	check(err)
	file, size, err := repo.Firmware(ctx, releases[0].Image.SHA256)
	check(err)
	defer file.Close()
	fmt.Println(releases[0].Version(), size, "bytes")
	// Output: 2.1.0 14 bytes
}

func generate() *signing.Key {
	key, err := signing.Generate(trust.Ed25519)
	check(err)
	return key
}

func parse(text string) version.Version {
	v, err := version.Parse(text)
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
