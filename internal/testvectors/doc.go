// Package testvectors reads the files of testvectors/, by which the Go code and
// the C library are judged alike, and holds the keys they are made with. The
// files are written by its generator (go run ./internal/testvectors/gen), which
// encodes, signs and MACs without the packages that are judged. Their format is
// in testvectors/README.md.
//
// The keys are derived from their names. They are public, and of use for tests
// only.
package testvectors
