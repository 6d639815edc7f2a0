// Package report says what ran where over a range of time, and proves it: a
// report is a function of the audit log and of nothing else (docs/spec/report.md).
// Whoever has the log, or a report that carries it, and the public audit key
// computes the same report again; one that differs was tampered with.
//
// It knows no server and no database: records come in, a report goes out.
package report
