// Package repository keeps what is published: keysets, signed manifests and
// the images they name.
//
// Everything is verified again on the way in, whoever sends it: a release gets
// in only if the release threshold of the device type's latest keyset signed
// its manifest, the image hashes to the manifest, and version, sequence and
// security counter go where they may. The repository holds no private key, so
// whoever steals it can withhold releases but not make one.
//
// Publication is one durable flip: the image is synced under its digest, its
// directory is synced, and then one commit makes the release exist, together
// with its audit record. Before the commit nothing is visible; after it nothing
// is lost. Any number of processes may use one repository at a time.
//
//	DIR/ota.db      keysets, manifests, release documents, audit log (and a server's tables)
//	DIR/blobs/      images by SHA-256 (package internal/blob)
//	DIR/secrets/    reserved for a server's keys; for its owner only
//
// What a sound repository is, and how to check for it: Fsck.
package repository
