// Command gen writes the files of testvectors/. It takes the directory as its
// argument. The same program writes the same bytes on every machine.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

func main() {
	dir := "testvectors"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	for name, content := range files() {
		if err := fsatomic.WriteFile(fsatomic.OS(), filepath.Join(dir, name), content, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}

// files returns every file by its name.
func files() map[string][]byte {
	w, d := newWorld(), newDevice()
	return map[string][]byte{
		"cbor.txt":             cborFile(),
		"cose-key.txt":         coseKeyFile(w),
		"keyset.txt":           keysetFile(w),
		"manifest.txt":         manifestFile(w),
		"device-key.txt":       deviceKeyFile(d),
		"check-request.txt":    requestFile(d),
		"check-response.txt":   responseFile(d),
		"report.txt":           reportFile(d),
		"bare.txt":             bareFile(),
		"bundle.txt":           bundleFile(w),
		"return.txt":           returnFile(),
		"release-document.txt": documentFile(),
	}
}
