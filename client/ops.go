package client

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/agent/bootloader"
)

// Ops is all that a Client does to the world around it: transport, clock and
// storage. Local is the one of an ordinary computer.
type Ops interface {
	// Do sends a request, as http.Client.Do does, and follows no redirect.
	Do(*http.Request) (*http.Response, error)
	// Now returns the time, or the zero time if the device has no clock that is set.
	Now() time.Time
	// ReadFile reads one of the few small files that a Client keeps. If it is
	// not there the error wraps fs.ErrNotExist.
	ReadFile(name string) ([]byte, error)
	// WriteFile replaces such a file, atomically and durably. They hold secrets.
	WriteFile(name string, data []byte) error
	// OpenSlot opens slot 0 or 1. If it has never been written the error wraps
	// fs.ErrNotExist, unless write is set.
	OpenSlot(n int, write bool) (Slot, error)
}

// A Slot is an open place for an image.
type Slot interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Capacity returns the size of the largest image, in bytes; 0: not known.
	Capacity() int64
	// Size returns how many bytes can be read.
	Size() (int64, error)
	// Sync makes what was written durable.
	Sync() error
	// Seal ends the content after size bytes, where a slot can, and makes it
	// durable. What is read from then on comes from the medium.
	Seal(size int64) error
}

// A Loader is the boot loader: it holds which slot boots, and each of its
// changes is atomic and durable.
type Loader interface {
	// Status returns which slot runs, which is active and which is on trial.
	Status(context.Context) (BootState, error)
	// Try has the slot booted next, on trial: after so many boots without Set
	// the loader falls back to the active slot by itself.
	Try(ctx context.Context, slot int) error
	// Set has the slot booted from now on.
	Set(ctx context.Context, slot int) error
}

// A Stage is a Loader that is itself the boot stage.
type Stage interface {
	Loader
	// Next returns the slot to start now, after it counted a try down.
	Next(context.Context) (int, error)
}

// A BootState is what a Loader knows. Its slots are 0 or 1, or NoSlot.
type BootState = bootloader.State

// NoSlot stands for no slot.
const NoSlot = bootloader.None

// SlotName returns the name of a slot for people: "a" or "b".
func SlotName(slot int) string { return bootloader.Name(slot) }
