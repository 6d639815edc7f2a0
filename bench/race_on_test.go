//go:build race

package bench

// raceEnabled shortens measurements: under the race detector they only show
// that they still run.
const raceEnabled = true
