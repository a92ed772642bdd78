package worker

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// runBytes is what a run that is kept can hold: an event of 256 KiB or a
	// batch of 512 KiB, as it came and as it was read. Most hold a few KiB.
	runBytes = 1 << 20
	// share is the part of the memory that kept runs may take.
	share = 4
	// Fewer runs than leastRuns would be read from their histories again and
	// again; more than mostRuns gained nothing when measured.
	leastRuns, mostRuns = 50, 2000
)

// CachedRuns returns how many runs a process keeps in memory between their
// tasks, by the memory that it may use: the SDK counts runs and not bytes, so
// this is the number of the largest ones. One that was dropped is replayed from
// its history.
func CachedRuns(root fs.FS) int {
	return runsWithin(memory(root, debug.SetMemoryLimit(-1)))
}

func runsWithin(bytes int64) int {
	return int(min(max(bytes/share/runBytes, leastRuns), mostRuns))
}

// memory returns the least of the limits that hold for the process: Go's own
// (GOMEMLIMIT), those of its control groups, and what the machine has. Where
// nothing is known, there is none.
func memory(root fs.FS, goLimit int64) int64 {
	least := goLimit
	if kib, ok := field(root, "proc/meminfo", "MemTotal:"); ok {
		least = min(least, kib<<10)
	}
	// https://docs.kernel.org/admin-guide/cgroup-v2.html: a group's limit holds
	// for the groups below it. Version 1 has a tree for the memory alone.
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	within := map[string]string{"sys/fs/cgroup": "/", "sys/fs/cgroup/memory": "/"}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[1] == "":
			within["sys/fs/cgroup"] = parts[2]
		case parts[1] == "memory":
			within["sys/fs/cgroup/memory"] = parts[2]
		}
	}
	for tree, group := range within {
		for {
			for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
				if limit, ok := field(root, path.Join(tree, group, name), ""); ok {
					least = min(least, limit)
				}
			}
			if group == "/" || group == "." {
				break
			}
			group = path.Dir(group)
		}
	}
	return least
}

// field returns the number that follows a word in a file; "max" is none.
func field(root fs.FS, name, word string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, word)
		words := strings.Fields(rest)
		if !ok || len(words) == 0 {
			continue
		}
		number, err := strconv.ParseUint(words[0], 10, 64)
		if err != nil || number == 0 {
			return 0, false
		}
		return int64(min(number, math.MaxInt64)), true
	}
	return 0, false
}
