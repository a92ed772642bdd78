package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// clockTick is the unit of CPU times in /proc: 1/100 s on every Linux that Go
// runs on (USER_HZ, which is fixed whatever the kernel's own rate).
const clockTick = 10 * time.Millisecond

// usage is what a process took of the machine, as Linux tells it.
type usage struct {
	CPU time.Duration
	// Peak and Resident are bytes of memory.
	Peak, Resident int64
}

// readUsage reads a process from a mounted procfs, which only Linux has.
func readUsage(procfs string, pid int) (usage, error) {
	dir := filepath.Join(procfs, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return usage{}, fmt.Errorf("CPU times and memory are read from /proc, on Linux only: %w", err)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return usage{}, fmt.Errorf("read memory: %w", err)
	}
	u := usage{Peak: kilobytes(status, "VmHWM:"), Resident: kilobytes(status, "VmRSS:")}
	u.CPU, err = cpuTime(stat)
	return u, err
}

// cpuTime adds up user and system time, fields 14 and 15 of stat. The second
// field, the program's name, may hold anything, so fields count from its end.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func cpuTime(stat []byte) (time.Duration, error) {
	const user, system = 14 - 3, 15 - 3
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= system {
		return 0, fmt.Errorf("read CPU times: %q has no 15 fields", stat)
	}
	var ticks int64
	for _, field := range [][]byte{fields[user], fields[system]} {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU times: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// kilobytes returns a value of /proc/PID/status in bytes; 0 where it is not.
func kilobytes(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte(name)); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(value), []byte("kB")))), 10, 64)
			if err == nil {
				return n << 10
			}
		}
	}
	return 0
}
