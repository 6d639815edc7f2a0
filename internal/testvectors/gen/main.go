// Command gen writes the files of testvectors/ and docs/spec/examples.md. It
// takes the project's root as its argument, otherwise it is run there. It writes
// the same bytes on every machine.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	for name, content := range files() {
		if err := fsatomic.WriteFile(fsatomic.OS(), filepath.Join(dir, filepath.FromSlash(name)), content, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}

// files returns every file by its name below the project's root.
func files() map[string][]byte {
	w, d := newWorld(), newDevice()
	return map[string][]byte{
		"testvectors/cbor.txt":             cborFile(),
		"testvectors/cose-key.txt":         coseKeyFile(w),
		"testvectors/keyset.txt":           keysetFile(w),
		"testvectors/manifest.txt":         manifestFile(w),
		"testvectors/device-key.txt":       deviceKeyFile(d),
		"testvectors/check-request.txt":    requestFile(d),
		"testvectors/check-response.txt":   responseFile(d),
		"testvectors/report.txt":           reportFile(d),
		"testvectors/bare.txt":             bareFile(),
		"testvectors/bundle.txt":           bundleFile(w),
		"testvectors/return.txt":           returnFile(),
		"testvectors/release-document.txt": documentFile(),
		"docs/spec/examples.md":            examplesFile(w, d),
	}
}
