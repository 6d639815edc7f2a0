// Package store is the one database of a server or a repository: SQLite in one
// file, shared by any number of processes on the machine, or PostgreSQL, shared
// by any number of machines.
//
// What it guarantees, on both:
//
//   - There is one way to write, [DB.Change], and the audit record is a parameter of it:
//     the change and its record commit together or not at all. What may be written without a
//     record has another, conspicuous name.
//   - A nil error means durable: the log of the database was synced.
//   - Concurrent changes of one process merge into one commit, and so into one sync. Each
//     still fails or succeeds on its own.
//   - Writers of different processes take turns; nobody sees a lock unless another process
//     holds it for longer than [Patience]. What has a higher revision was committed later.
//   - Reads see one moment, and never wait for writers.
//   - Nobody waits for a database that does not answer, because a lock is held, a server is
//     gone or one hangs, but the first to find out, and he for Patience. All others are refused at once
//     with an [OutageError], which wraps [ErrBusy] or [ErrUnavailable], until it answers again, which is seen
//     within a second or two. Of a change that was cut off in its commit nobody knows whether
//     it was committed; the error says no more than that it may not have been.
//
// The SQL is text beside the method that runs it, with $1 placeholders and without
// pragmas, in words that both understand; migrations say BLOB and TEXT, which
// PostgreSQL is told are BYTEA and TEXT COLLATE "C". Times are integer milliseconds
// UTC, digests are BLOBs, text is UTF-8 without NUL.
package store
