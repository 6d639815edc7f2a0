package signing_test

import (
	"testing"

	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// Whatever a key file holds, reading it neither panics nor takes the machine
// down, and what is read signs for the public key it shows.
func FuzzParsePrivateKey(f *testing.F) {
	for _, alg := range []trust.Algorithm{trust.ESP256, trust.Ed25519} {
		k, err := signing.Generate(alg)
		if err != nil {
			f.Fatal(err)
		}
		text, err := k.MarshalPEM(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := signing.ParsePrivateKey(text, secret("word"))
		if err != nil {
			return
		}
		if _, err := trust.SignManifest(unsignedManifest(t), k); err != nil {
			t.Fatalf("a key that was read does not sign: %v", err)
		}
	})
}
