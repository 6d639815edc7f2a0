package server_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// Publish a release, and serve it to a device, all in one process. Run instead
// of Close would serve it to the network.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	s, err := server.New(ctx, server.Config{Dir: dir})
	check(err)
	defer s.Close(ctx)

	release := publish210(ctx, s.Repository(), "firmware 2.1.0")
	check(s.Refresh(ctx))
	_, err = s.AddDevice(ctx, "alice", server.NewDevice{Ref: server.DeviceRef{DeviceType: "sensor_v1", ID: "dev-0001"}})
	check(err)

	answer, err := s.CheckForUpdates(ctx, trust.CheckRequest{
		Device: "dev-0001", DeviceType: "sensor_v1", Nonce: 1, KeysetVersion: 1,
	})
	check(err)
	fmt.Println("offered:", answer.ManifestHash == release.ManifestHash)

	stream, size, err := s.FirmwareDownload(ctx, release.Image.SHA256, 0)
	check(err)
	defer stream.Close()
	image, err := io.ReadAll(stream)
	check(err)
	fmt.Printf("%d bytes: %s\n", size, image)

	check(s.RecordUpdate(ctx, trust.Report{
		Device: "dev-0001", DeviceType: "sensor_v1", Nonce: 2, Event: trust.EventConfirmed,
		Sequence: manifest.NewSequence(1, 1), ImageDigest: release.Image.SHA256,
	}))
	// Output:
	// offered: true
	// 14 bytes: firmware 2.1.0
}

// publish210 makes a vendor's keys and publishes release 2.1.0. In real life
// the keys are made once, and elsewhere.
func publish210(ctx context.Context, repo *repository.Repository, image string) repository.Release {
	root, err := signing.Generate(trust.Ed25519)
	check(err)
	key, err := signing.Generate(trust.Ed25519)
	check(err)
	keyset, err := trust.UnsignedKeyset(&trust.Keyset{
		Vendor: "acme", DeviceType: "sensor_v1", Version: 1,
		Roots: []trust.SignerKey{{ID: root.Public().ID(), Algorithm: trust.Ed25519}}, RootThreshold: 1,
		Releases: []trust.SignerKey{{ID: key.Public().ID(), Algorithm: trust.Ed25519, Epoch: 1}}, ReleaseThreshold: 1,
	})
	check(err)
	keyset, err = trust.SignKeyset(keyset, root)
	check(err)
	me := repository.Actor{Name: "user:alice"}
	_, err = repo.AddKeyset(ctx, me, trust.Bundle{Keysets: [][]byte{keyset}, Keys: trust.NewKeyRing(root.Public(), key.Public())})
	check(err)

	v, err := version.Parse("2.1.0")
	check(err)
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, 1), v)
	check(m.SetImage(sha256.Sum256([]byte(image)), int64(len(image))))
	signed, err := trust.UnsignedManifest(m)
	check(err)
	signed, err = trust.SignManifest(signed, key)
	check(err)
	release, err := repo.AddFirmware(ctx, me, trust.Bundle{Manifest: signed}, strings.NewReader(image))
	check(err)
	return release
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
