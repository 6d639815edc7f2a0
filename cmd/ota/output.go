package main

import (
	"io"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// writeTo makes a new file of what write writes, whole or not at all; "-" is
// standard output. It is for what may be too long to be held in memory.
func writeTo(e *env.Env, name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(e.Stdout)
	}
	file, err := fsatomic.Create(fsatomic.OS(), name, 0o644)
	if err != nil {
		return err
	}
	defer file.Abort()
	if err := write(file); err != nil {
		return err
	}
	return file.CommitNew()
}
