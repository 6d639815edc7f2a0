package fsatomic

import (
	"crypto/rand"
	"io/fs"
	"path/filepath"
	"strings"
)

const (
	tempPrefix = ".ota-tmp-"
	tempRandom = 26 // characters of rand.Text, 128 bits or more
)

// tempFor returns a new name beside name, on the same file system for the rename to come.
// No one can guess it, so no one can occupy it first, and it is short even if name is as long as names get.
func tempFor(name string) (string, error) {
	switch base := filepath.Base(name); {
	case name == "", base == ".", base == "..", base == string(filepath.Separator):
		return "", fs.ErrInvalid
	}
	return filepath.Join(filepath.Dir(name), tempPrefix+rand.Text()[:tempRandom]), nil
}

// Leftover reports whether name is that of a temporary file of this package. After a crash such a
// file is worthless and may be removed, as long as no other process may be writing in its directory.
// It may hold a copy of a secret.
func Leftover(name string) bool {
	random, ok := strings.CutPrefix(filepath.Base(name), tempPrefix)
	for _, suffix := range []string{"-journal", "-wal", "-shm"} { // what SQLite makes beside a database under such a name
		random = strings.TrimSuffix(random, suffix)
	}
	return ok && len(random) == tempRandom && strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// TempName returns a new name beside name, for what has to be written before
// it may have that name and is no single file of this package, such as a
// directory. No one can guess it; [Leftover] knows it.
func TempName(name string) (string, error) { return tempFor(name) }
