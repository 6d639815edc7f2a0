package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/repository"
)

// Environment variables that say where a server stores what is not in its data
// directory. The URL of the database may hold its password there.
const (
	databaseVariable = "OTA_DATABASE"
	blobsVariable    = "OTA_BLOBS"
)

// A storage is where database and images are, if not in the data directory.
type storage struct {
	database     string // --database
	databaseFile string // --database-file
	blobs        string // --blobs
}

func (s *storage) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.database, "database", "", "`URL` of a PostgreSQL database, postgres://USER@HOST/NAME, without a password (default: a file in the data directory)")
	flags.StringVar(&s.databaseFile, "database-file", "", "`FILE` that holds that URL, with its password")
	flags.StringVar(&s.blobs, "blobs", "", "where images are: s3://BUCKET/PREFIX?endpoint=`URL`&region=REGION, or a directory (default: in the data directory)")
	cmd.MarkFlagsMutuallyExclusive("database", "database-file")
}

// fill fills in what no flag says from the environment and from the
// configuration of a home.
func (s *storage) fill(e *env.Env, c home.ServerConfig) error {
	if err := s.check("--database", s.database); err != nil {
		return err
	}
	if err := s.check("server.json: database", c.Database); err != nil {
		return err
	}
	if s.databaseFile == "" && s.database == "" && e.Getenv(databaseVariable) == "" {
		s.databaseFile = c.DatabaseFile
	}
	if s.databaseFile != "" {
		text, err := readSecret("database URL", s.databaseFile, e.Getenv(credentialsVariable))
		if err == nil && !store.IsPostgres(text) {
			err = fmt.Errorf("database URL: %s: %w: want one line, postgres://USER:PASSWORD@HOST/NAME", s.databaseFile, fs.ErrInvalid)
		}
		if err != nil {
			return err
		}
		s.database = text
	}
	for _, f := range []struct{ flag, variable, home string }{
		{"database", databaseVariable, c.Database}, {"blobs", blobsVariable, c.Blobs},
	} {
		value := &s.database
		if f.flag == "blobs" {
			value = &s.blobs
		}
		if *value == "" {
			*value = e.Getenv(f.variable)
		}
		if *value == "" {
			*value = f.home
		}
	}
	if s.database != "" && !store.IsPostgres(s.database) {
		return exit.Usagef("the database is not the URL of a PostgreSQL database: want postgres://USER@HOST/NAME")
	}
	return nil
}

// fillFor is fill for a data directory, with the configuration of the home if
// that speaks of it, by whatever name: under another one, the database that was
// there before a move would be taken for the one in use.
func (s *storage) fillFor(e *env.Env, data string) error {
	h, err := e.HomeIfAny()
	if err != nil {
		return err
	}
	if h == nil {
		return s.fill(e, home.ServerConfig{})
	}
	c, err := h.ServerConfig()
	if err != nil {
		return err
	}
	if !sameDir(c.Data, data) {
		c = home.ServerConfig{}
	}
	return s.fill(e, c)
}

// sameDir reports whether two names lead to one directory, whether it exists or
// not.
func sameDir(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(infoA, infoB)
	}
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB
}

// check refuses a password where others can read it.
func (s *storage) check(where, location string) error {
	if store.IsPostgres(location) && store.HasPassword(location) {
		return exit.Usagef("%s holds a password, which other users of this machine can read: put the URL into a file (--database-file) or into %s, or the password into PGPASSFILE", where, databaseVariable)
	}
	return nil
}

// credentialsVariable names the directory that systemd makes of LoadCredential=
// for one unit. Only its user can enter it; its files are root's, and let him
// read by an access list, which shows as permissions of the group.
const credentialsVariable = "CREDENTIALS_DIRECTORY"

// readSecret reads the one line of a file that only its owner may read, or the
// unit that it was given to as a credential.
func readSecret(what, name, credentials string) (string, error) {
	forbidden := fs.FileMode(0o077)
	if credentials != "" && sameDir(filepath.Dir(name), credentials) {
		forbidden = 0o037
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&forbidden != 0 {
		return "", fmt.Errorf("%s: %w: %s has mode %04o: run chmod go= %q", what, repository.ErrTooOpen, name, mode, name)
	}
	const most = 4096
	if info.Size() > most || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s: %s: %w: want one line", what, name, fs.ErrInvalid)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	line := strings.TrimSpace(string(text))
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return "", fmt.Errorf("%s: %s: %w: want one line", what, name, fs.ErrInvalid)
	}
	return line, nil
}
