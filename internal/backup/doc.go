// Package backup copies a data directory while its server runs, and makes one
// again from the copy.
//
// A backup is a directory, or the same files in one tar:
//
//	ota.db               the database at one moment
//	blobs/sha256/DIGEST  every image that it names, hashed on the way
//	secrets/…            fleet masters, audit key, TLS key; or
//	secrets.tar.age      the same, encrypted with a passphrase (age-encryption.org/v1)
//	backup.json          what it is; written last: without it a backup is not complete
//
// A backup is true of one moment: the database is copied first, in one read
// transaction, and then the images that this copy names, which never change and
// are never removed while they are named.
//
// A restored server remembers less than its devices and operators do. What it
// forgot in the dangerous direction is ended: whoever had a token or an unused
// enrolment code revoked since the backup would have it back, so that all of
// them end (Settle). Devices that were revoked since are let in again, and
// nobody but the operator knows which: docs/operations.md says how to find out.
package backup
