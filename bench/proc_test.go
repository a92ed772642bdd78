package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadUsage(t *testing.T) {
	t.Parallel()

	procfs := func(t *testing.T, stat, status string) string {
		t.Helper()
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "42"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "42", "stat"), []byte(stat), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "42", "status"), []byte(status), 0o600))
		return dir
	}
	const status = "Name:\tcarillon\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t9\n"

	t.Run("user and system time are added up, memory is in bytes", func(t *testing.T) {
		t.Parallel()
		u, err := readUsage(procfs(t, "42 (carillon) S 1 42 42 0 -1 4194304 9 0 0 0 120 30 0 0 20 0 9 0 5 6 7", status), 42)
		require.NoError(t, err)
		require.Equal(t, usage{CPU: 1500 * time.Millisecond, Peak: 2 << 20, Resident: 1 << 20}, u)
	})
	t.Run("a name may hold spaces and brackets", func(t *testing.T) {
		t.Parallel()
		u, err := readUsage(procfs(t, "42 (a) b (c)) S 1 42 42 0 -1 4194304 9 0 0 0 1 2 0 0 20", status), 42)
		require.NoError(t, err)
		require.Equal(t, 30*time.Millisecond, u.CPU)
	})
	t.Run("a stat that is cut off is an error", func(t *testing.T) {
		t.Parallel()
		_, err := readUsage(procfs(t, "42 (carillon) S 1", status), 42)
		require.ErrorContains(t, err, "has no 15 fields")
	})
	t.Run("without /proc it says what is needed", func(t *testing.T) {
		t.Parallel()
		_, err := readUsage(t.TempDir(), 42)
		require.ErrorContains(t, err, "on Linux only")
	})
	t.Run("memory that is not told is 0", func(t *testing.T) {
		t.Parallel()
		require.Zero(t, kilobytes([]byte("Name:\tx\n"), "VmHWM:"))
	})
}
