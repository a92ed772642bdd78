//go:build !race

package conditions_test

// raceEnabled says that the race detector watches.
const raceEnabled = false
