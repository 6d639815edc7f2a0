package trust_test

import (
	"fmt"
	"log"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// Roots sign a keyset, the keyset names the release key, the release key signs a
// manifest, and a device that knows the roots alone believes all of it.
func Example() {
	root, release := newKey(), newKey()
	keyset := &trust.Keyset{
		Vendor: "acme", DeviceType: "sensor_v1", Version: 1,
		Roots: []trust.SignerKey{{ID: root.Public().ID(), Algorithm: trust.PS256}}, RootThreshold: 1,
		Releases: []trust.SignerKey{{ID: release.Public().ID(), Algorithm: trust.PS256, Epoch: 1}}, ReleaseThreshold: 1,
	}
	unsigned := try(trust.UnsignedKeyset(keyset))
	signedKeyset := try(trust.SignKeyset(unsigned, root))

	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, 1), try(version.Parse("1.0.0")))
	if err := m.SetImage(manifest.Digest{1}, 4096); err != nil {
		log.Fatal(err)
	}
	signedManifest := try(trust.SignManifest(try(trust.UnsignedManifest(m)), release))

	// On the device. The public keys come from anywhere.
	keys := trust.NewKeyRing(root.Public(), release.Public())
	held := try(keyset.Anchor().Open(signedKeyset, keys))
	verified := try(held.VerifyManifest(signedManifest, keys))
	fmt.Println("may install", verified.Manifest().Version)

	signedManifest[40] ^= 1
	_, err := held.VerifyManifest(signedManifest, keys)
	fmt.Println("changed:", trust.ReasonOf(err) != 0)
	// Output:
	// may install 1.0.0
	// changed: true
}

// A device asks under its key and believes the answer to its own question alone.
func ExampleOpenCheckResponse() {
	id := trust.DeviceID{Vendor: "acme", DeviceType: "sensor_v1", ID: "dev-0001"}
	keys := try(trust.NewFleetMaster().DeviceKeys(id, 1)) // the server derives the same

	answer := try(trust.CheckResponse{Device: id.ID, Nonce: 17, RetrySeconds: 3600}.Seal(keys.Down))

	response := try(trust.OpenCheckResponse(answer, keys.Down, id.ID, 17))
	fmt.Println("ask again in", response.RetrySeconds, "seconds")
	_, err := trust.OpenCheckResponse(answer, keys.Down, id.ID, 18)
	fmt.Println(err)
	// Output:
	// ask again in 3600 seconds
	// open check response: answer to another question: nonce 17, asked with 18
}

func newKey() *signing.Key { return try(signing.Generate(trust.PS256)) }

func try[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
