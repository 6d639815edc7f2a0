// Package s3 speaks the part of the S3 protocol that keeping images needs:
// objects, listings, and multipart uploads, signed with version 4 signatures.
// It is small on purpose: a library with all of S3 costs every run of the
// command line, in the time to initialise it, a fifth of signing a megabyte
// (docs/adr/0001-dependencies.md).
//
// What it guarantees: bodies that are sent are in memory, their SHA-256 is part
// of the signature, and the store refuses them if they do not hash to it.
// A request of which no byte moves, in either direction, is given up after a while.
// Requests that fail on the way, or because the store is not well, are tried
// again a few times. A secret key is in no error.
package s3
