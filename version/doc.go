// Package version parses and orders the versions that firmware releases carry:
// semantic versions, strictly as https://semver.org/spec/v2.0.0.html defines them.
//
// Whether a device may install a release depends on this order, so two readings
// of one text would be a hole in the rollback protection. Hence no leniency: no
// leading "v", no missing patch number, no leading zeros, no surrounding space.
//
// A [Version] that is not zero came out of [Parse] and is valid. Numbers may have any length
// that fits into [MaxLength] and never overflow. Whether one version may follow another is
// decided elsewhere; this package only says which is newer.
package version
