package repository

import (
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/trust"
)

// Conditions of the storage, for errors.Is. Those that the operating system
// has a name for are that name.
var (
	ErrNotFound   = store.ErrNotFound
	ErrMissing    = errors.New("the storage path does not exist")
	ErrTooOpen    = errors.New("permissions are too open")
	ErrFull       = store.ErrFull       // the disk or the quota is full
	ErrReadOnly   = store.ErrReadOnly   // the file system is mounted read-only
	ErrPermission = store.ErrPermission // this user may not write there
	ErrDamaged    = store.ErrDamaged
	ErrBusy       = store.ErrBusy
	// ErrUnavailable: the server that holds the database, or the one that holds
	// the images, cannot be reached.
	ErrUnavailable = store.ErrUnavailable
	ErrText        = store.ErrText // not UTF-8, or with a NUL
)

// Refusals of what is to be published, for errors.Is. Those about signatures
// also wrap the trust.Reason that a device would give.
var (
	ErrUnknownType  = errors.New("no keyset of this device type is held: add its first keyset before its first release")
	ErrUnsigned     = errors.New("the manifest is not signed")
	ErrWrongTypeKey = errors.New("signed by the key of another device type")
	ErrRevokedKey   = errors.New("signed by a key that the latest keyset no longer lists")
	ErrMissingKey   = errors.New("a public key that the keyset names is not supplied")
	ErrNoKeyset     = errors.New("the bundle holds no keyset")
	ErrMixedTypes   = errors.New("the keysets of the bundle are of several device types: bring one type at a time")
	ErrNoManifest   = errors.New("the bundle holds no manifest")
	ErrVersion      = errors.New("the version does not rise")
	ErrSequence     = errors.New("the sequence does not rise")
	ErrBelowFloor   = errors.New("the security counter is below the security floor")
	ErrDowngrade    = errors.New("a downgrade must carry version and image of a release that exists")
	ErrDocument     = errors.New("the release document is not the one that the manifest names")
	ErrImage        = errors.New("the image is not the one that the manifest names")
	ErrNoImage      = errors.New("the image is not stored: upload it first")
	ErrWithdrawn    = errors.New("the release was withdrawn: publish it under a new version and sequence")
)

// explainBlob turns what the blobs say about an image into a refusal of the
// release.
func explainBlob(err error) error {
	switch {
	case errors.Is(err, blob.ErrSize):
		return fmt.Errorf("%w: %w: %w", ErrImage, trust.ErrImageSize, err)
	case errors.Is(err, blob.ErrDigest):
		return fmt.Errorf("%w: %w: %w", ErrImage, trust.ErrImageDigest, err)
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrNoUpload):
		return fmt.Errorf("%w: %w", ErrNoImage, err)
	case errors.Is(err, blob.ErrUnavailable):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
