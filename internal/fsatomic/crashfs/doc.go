// Package crashfs is a file system in memory, for tests, that loses power and fails on demand.
//
// It models what POSIX leaves open, not what one file system happens to do. After a power cut
//
//   - file data written but not synced may be there, absent, torn at any 512-byte sector,
//     or replaced by zeros of the new length;
//   - a create, rename, link, remove, symlink or mkdir may have happened or not, independently of all others,
//     until each directory it changed has been synced. A rename happens whole or not at all;
//   - what was synced is there.
//
// After a failed File.Sync the data it covered is never written, though it can still be read
// and later syncs succeed, as on Linux.
//
// [Sweep] runs code with a power cut at every operation and in every [Mode], [SweepFaults] with
// every operation failing once. All is deterministic: the same calls and seeds give the same outcome.
//
// Not modelled: permissions (modes are kept, not enforced), quotas, memory maps, and disks that lie about a sync.
// A directory's entries are synced whole; a symbolic link's text comes and goes with its entry.
package crashfs
