package store

import (
	"bytes"
	"io/fs"
	"regexp"
)

// postgresMigrations are the migrations in PostgreSQL's words. The rule has two
// lines: BLOB is BYTEA, and TEXT is compared byte by byte, as SQLite does,
// whatever the database's language is.
type postgresMigrations struct{ fs.FS }

var postgresWords = []struct {
	word  *regexp.Regexp
	means []byte
}{
	{regexp.MustCompile(`\bBLOB\b`), []byte(`BYTEA`)},
	{regexp.MustCompile(`\bTEXT\b`), []byte(`TEXT COLLATE "C"`)},
}

// Open opens a migration, translated.
func (m postgresMigrations) Open(name string) (fs.File, error) {
	f, err := m.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return f, err
	}
	defer f.Close()
	text, err := fs.ReadFile(m.FS, name)
	if err != nil {
		return nil, err
	}
	for _, w := range postgresWords {
		text = w.word.ReplaceAll(text, w.means)
	}
	return &translated{Reader: bytes.NewReader(text), File: f}, nil
}

// translated is a file with another content.
type translated struct {
	*bytes.Reader
	fs.File
}

func (t *translated) Read(p []byte) (int, error) { return t.Reader.Read(p) }
func (t *translated) Close() error               { return nil }
