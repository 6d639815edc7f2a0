// Package store is the one database of a server or a repository: SQLite in one
// file, shared by any number of processes on the machine.
//
// What it guarantees:
//
//   - There is one way to write, [DB.Change], and the audit record is a parameter of it:
//     the change and its record commit together or not at all. What may be written without a
//     record has another, conspicuous name.
//   - A nil error means durable: the write-ahead log was synced.
//   - Concurrent changes merge into one commit, and so into one sync. Each still fails or
//     succeeds on its own.
//   - Writers of different processes take turns; nobody sees "database is locked" unless
//     another process holds the lock for longer than [BusyTimeout].
//   - Reads see one moment, and never wait for writers.
//
// The SQL is text beside the method that runs it, with $1 placeholders and without pragmas,
// so that PostgreSQL takes it, too. Times are integer milliseconds UTC, digests are BLOBs.
package store
