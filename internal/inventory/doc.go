// Package inventory reads and writes lists of devices as files: CSV for
// spreadsheets, JSON for programs (docs/fleet.md says what stands in them). It
// reads one device at a time, whatever the length of the file, and refuses
// what it does not understand: a column that nobody reads is a mistake that
// nobody sees.
package inventory
