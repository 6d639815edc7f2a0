// Package audit is the record of who did what: entries in a hash chain, signed
// checkpoints of its head, and the verifier that names the first bad record.
//
// The chain makes every change of an earlier record visible to whoever holds a
// later hash, and a checkpoint is such a hash, signed and kept elsewhere. What
// nobody can see is the removal of records newer than the newest checkpoint
// that was exported: how often that happens bounds what an intruder can hide.
//
// The encodings are normative in docs/spec/audit.md. The package stores
// nothing: internal/store appends a record in the transaction of its effect.
package audit
