package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// The device's side of a server, in Go. Types of package internal/fleet that a
// program needs have their names here.
type (
	// A DeviceRef finds a device by type and id.
	DeviceRef = fleet.Ref
	// NewDevice asks for a device.
	NewDevice = fleet.NewDevice
	// NewCode asks for a one-time enrolment code.
	NewCode = fleet.NewCode
	// Provisioning is what a device is given to begin with, secrets included.
	Provisioning = fleet.Provisioning
)

// The levels of a device.
const (
	Keyed     = fleet.Keyed     // with a device key
	TokenOnly = fleet.TokenOnly // with a bearer token, JSON over TLS only
)

// inProcess is the address of what this process asks of itself.
const inProcess = ""

// CheckForUpdates answers the update check of a device. The caller vouches for
// it that the request comes from that device; over the network, a MAC does.
func (s *Server) CheckForUpdates(ctx context.Context, req trust.CheckRequest) (trust.CheckResponse, error) {
	if err := req.Validate(); err != nil {
		return trust.CheckResponse{}, err
	}
	return s.fleet.Check(ctx, req, inProcess)
}

// FirmwareDownload opens a published image as a stream, from a byte on, and
// returns its whole size. Close the stream.
func (s *Server) FirmwareDownload(ctx context.Context, image manifest.Digest, from int64) (stream io.ReadCloser, size int64, err error) {
	if !s.fleet.Publishes(image) {
		return nil, 0, fmt.Errorf("download %s: no release has this image: %w", image, repository.ErrNotFound)
	}
	f, size, err := s.repository.Firmware(ctx, image)
	if err != nil {
		return nil, 0, err
	}
	if from < 0 || from > size {
		return nil, 0, errors.Join(fmt.Errorf("download %s from byte %d of %d: %w", image, from, size, fleet.ErrInvalid), f.Close())
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("download %s: %w", image, err), f.Close())
	}
	return f, size, nil
}

// RecordUpdate takes a device's report, once. After nil it is durable. The
// caller vouches for its origin, as with CheckForUpdates.
func (s *Server) RecordUpdate(ctx context.Context, r trust.Report) error {
	if err := r.Validate(); err != nil {
		return err
	}
	return s.fleet.Report(ctx, r, inProcess)
}

// AddDevice adds a device on behalf of a local administrator of that name and
// returns its secrets, which are shown this once.
func (s *Server) AddDevice(ctx context.Context, by string, d NewDevice) (Provisioning, error) {
	return s.Management(by).AddDevice(ctx, d)
}

// Refresh makes what was just published in the same repository visible to
// devices at once; without it that takes up to a second.
func (s *Server) Refresh(ctx context.Context) error { return s.fleet.Refresh(ctx) }
