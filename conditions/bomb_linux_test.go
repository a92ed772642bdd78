package conditions_test

import (
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

// hardBombBytes is what kills the process, whatever the collector does.
const hardBombBytes = 256 << 20

// measure returns by how much the process grew at most meanwhile, and what it
// took of the processor, at best.
func measure(do func()) (bytes int, took time.Duration, err error) {
	took = time.Hour
	for range bombRuns() {
		debug.FreeOSMemory()
		// From now on the peak counts from here. https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			return 0, 0, fmt.Errorf("begin a new peak: %w", err)
		}
		before, err := processStatus()
		if err != nil {
			return 0, 0, err
		}
		if err := limitMemory(before); err != nil {
			return 0, 0, err
		}
		began := processorTime()
		do()
		took = min(took, processorTime()-began)
		after, err := processStatus()
		if err != nil {
			return 0, 0, err
		}
		bytes = max(bytes, after["VmHWM"]-before["VmRSS"])
	}
	return bytes, took, nil
}

// limitMemory gives the process as much more as one bomb may take, and has the
// system refuse it far more than that.
func limitMemory(now map[string]int) error {
	debug.SetMemoryLimit(int64(now["VmRSS"] + maxBombBytes))
	if raceEnabled { // which reserves what it never uses
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("read the limit of memory: %w", err)
	}
	limit.Cur = uint64(now["VmData"] + hardBombBytes)
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	return nil
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // RUSAGE_SELF is always known
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

var statusLine = regexp.MustCompile(`(?m)^(Vm[A-Za-z]+):\s+(\d+) kB$`)

// processStatus returns the sizes of /proc/self/status in bytes.
func processStatus() (map[string]int, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("read the size of the process: %w", err)
	}
	sizes := map[string]int{}
	for _, found := range statusLine.FindAllStringSubmatch(string(text), -1) {
		kilobytes, err := strconv.Atoi(found[2])
		if err != nil {
			return nil, fmt.Errorf("read the size of the process: %w", err)
		}
		sizes[found[1]] = kilobytes << 10
	}
	return sizes, nil
}
