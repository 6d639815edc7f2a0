// Package server serves a repository and a fleet: the device protocol
// (docs/spec/device-protocol.md), the management API
// (docs/spec/management-api.md) and the console, over TLS and, if wanted, the
// part of the device protocol that protects itself over plain HTTP.
//
// A Server can also be used without any listener: CheckForUpdates,
// FirmwareDownload and RecordUpdate are the device protocol as Go methods.
//
// It holds no key that signs releases. What it guarantees and where it stops is
// what internal/fleet and repository say; this package adds limits, timeouts
// and an orderly end.
package server
