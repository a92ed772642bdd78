//go:build !linux

package conditions_test

import (
	"runtime"
	"runtime/debug"
	"time"
)

// measure is what other systems can tell: by how much Go's memory grew, and the
// time on the clock.
func measure(do func()) (bytes int, took time.Duration, err error) {
	took = time.Hour
	for range bombRuns() {
		debug.FreeOSMemory()
		before := held()
		began := time.Now()
		do()
		took = min(took, time.Since(began))
		bytes = max(bytes, held()-before)
	}
	return bytes, took, nil
}

func held() int {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return int(now.Sys - now.HeapReleased)
}
