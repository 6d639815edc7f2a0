// Package postgres starts Debian's PostgreSQL for tests: the real thing, in a
// temporary directory, on a Unix socket of its own.
package postgres
