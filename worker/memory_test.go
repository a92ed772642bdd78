package worker

import (
	"math"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestKeptRunsFitIntoTheMemory(t *testing.T) {
	t.Parallel()
	const none, gib = math.MaxInt64, 1 << 30
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	machine := file("MemFree:  1 kB\nMemTotal:       8388608 kB\nMemAvailable: 2 kB\n")
	tests := []struct {
		name    string
		root    fstest.MapFS
		goLimit int64
		memory  int64
		runs    int
	}{
		{"nothing is known", fstest.MapFS{}, none, none, 2000},
		{"a machine of 8 GiB", fstest.MapFS{"proc/meminfo": machine}, none, 8 * gib, 2000},
		{"GOMEMLIMIT", fstest.MapFS{"proc/meminfo": machine}, gib, gib, 256},
		{"a container", fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("536870912\n"),
		}, none, gib / 2, 128},
		{"a container without a limit", fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("max\n"),
		}, none, 8 * gib, 2000},
		{"a service, limited above", fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("0::/system.slice/carillon.service\n"),
			"sys/fs/cgroup/system.slice/memory.max":                  file("2147483648\n"),
			"sys/fs/cgroup/system.slice/carillon.service/memory.max": file("max\n"),
		}, none, 2 * gib, 512},
		{"version 1", fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("5:cpu:/x\n4:memory:/docker/1\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":          file("9223372036854771712\n"),
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": file("1073741824\n"),
		}, none, gib, 256},
		{"hardly any", fstest.MapFS{}, 64 << 20, 64 << 20, 50},
		{"files that say something else", fstest.MapFS{
			"proc/meminfo": file("MemTotal: much\n"), "proc/self/cgroup": file("?\n"), "sys/fs/cgroup/memory.max": file("\n"),
		}, none, none, 2000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bytes := memory(test.root, test.goLimit)
			require.Equal(t, test.memory, bytes)
			require.Equal(t, test.runs, runsWithin(bytes))
		})
	}
}
