package signing_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// A key is made, saved, loaded, and signs a firmware file. With a passphrase in
// place of nil the file is encrypted.
func Example() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "private_key.pem")

	made, err := signing.Generate(trust.PS256)
	if err != nil {
		log.Fatal(err)
	}
	if err := made.SavePrivateKey(path, nil); err != nil {
		log.Fatal(err)
	}
	key, err := signing.LoadPrivateKey(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	signature, digest, err := signing.FirmwareSigner{Key: key}.SignFirmware(strings.NewReader("firmware"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(signature), "bytes of signature over", digest.String()[:8])

	verifier := trust.Verifier{Key: key.Public()}
	_, err = verifier.VerifyFirmware(strings.NewReader("firmware"), signature)
	fmt.Println("genuine:", err)
	_, err = verifier.VerifyFirmware(strings.NewReader("Firmware"), signature)
	fmt.Println("modified:", err)
	// Output:
	// 256 bytes of signature over c3bf47ea
	// genuine: <nil>
	// modified: signature does not verify
}
