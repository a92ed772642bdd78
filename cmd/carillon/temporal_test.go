package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/config"
)

// startScript starts a program that does what the script says in the server's
// place.
func startScript(ctx context.Context, t *testing.T, cfg config.Config, script string) (*temporalServer, error) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(cfg.DataDir, "devserver.sh"), []byte(script), 0o600))
	return startDevserver(ctx, filepath.Join("testdata", devserver), cfg)
}

func devConfig(t *testing.T) config.Config {
	t.Helper()
	return config.Config{DataDir: t.TempDir(), DevTemporalPort: 7233, DevTemporalWebPort: 8233}
}

const sayReady = "echo ready address=127.0.0.1:7233 web=http://127.0.0.1:8233\n"

func TestTemporalServer(t *testing.T) {
	t.Parallel()

	t.Run("a server that is ready says where it is, and ends with its input", func(t *testing.T) {
		t.Parallel()
		s, err := startScript(t.Context(), t, devConfig(t), sayReady+"exec cat")
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:7233", s.Address)
		require.Equal(t, "http://127.0.0.1:8233", s.WebURL)
		require.NoError(t, s.Err())
		require.NoError(t, s.Stop(t.Context()))
		<-s.Done()
	})

	t.Run("the server gets its folder and ports, and no key", func(t *testing.T) {
		t.Parallel()
		cfg := devConfig(t)
		s, err := startScript(t.Context(), t, cfg, `echo "$@" >&2; env >&2;`+sayReady+"exec cat")
		require.NoError(t, err)
		require.NoError(t, s.Stop(t.Context()))
		log, err := os.ReadFile(filepath.Join(cfg.DataDir, "temporal.log"))
		require.NoError(t, err)
		require.Contains(t, string(log), "--dir "+filepath.Join(cfg.DataDir, "temporal")+
			" --port 7233 --web-port 8233 --ignore-interrupt\n")
		require.NotContains(t, string(log), "HOME=")
		require.NotContains(t, string(log), "CARILLON_")
	})

	t.Run("a server that ends by itself closes Done and says how", func(t *testing.T) {
		t.Parallel()
		s, err := startScript(t.Context(), t, devConfig(t), sayReady+"exit 3")
		require.NoError(t, err)
		<-s.Done()
		require.EqualError(t, s.Err(), "exit status 3")
		require.EqualError(t, s.Stop(t.Context()), "exit status 3")
	})

	t.Run("a server that does not end is killed at the deadline", func(t *testing.T) {
		t.Parallel()
		s, err := startScript(t.Context(), t, devConfig(t), sayReady+"exec tail -f /dev/null")
		require.NoError(t, err)
		now, cancel := context.WithCancel(t.Context())
		cancel()
		require.EqualError(t, s.Stop(now), "signal: killed")
	})
}

func TestTemporalServerDoesNotStart(t *testing.T) {
	t.Parallel()

	t.Run("a missing binary is a mistake of usage that names make build", func(t *testing.T) {
		t.Parallel()
		_, err := startDevserver(t.Context(), filepath.Join(t.TempDir(), devserver), devConfig(t))
		require.ErrorAs(t, err, new(usageError))
		require.ErrorContains(t, err, "`make build` makes it, or set TEMPORAL_ADDRESS")
	})

	for name, test := range map[string]struct{ says, want string }{
		"the port of Temporal": {
			"--port 7233: cannot listen there", "CARILLON_DEV_TEMPORAL_PORT 7233: cannot listen there",
		},
		"the port of Temporal Web": {
			"--web-port 8233: this is --port already",
			"CARILLON_DEV_TEMPORAL_WEB_PORT 8233: this is CARILLON_DEV_TEMPORAL_PORT already",
		},
		"the folder": {"--dir /x: another server uses it", "CARILLON_DATA_DIR /x: another server uses it"},
	} {
		t.Run("a complaint about "+name+" is a mistake of usage that names the variable", func(t *testing.T) {
			t.Parallel()
			cfg := devConfig(t)
			// What an earlier start left in the log is none of this one's.
			require.NoError(t, os.WriteFile(filepath.Join(cfg.DataDir, "temporal.log"), []byte(devserver+": old\n"), 0o600))
			_, err := startScript(t.Context(), t, cfg, "echo '"+devserver+": "+test.says+"' >&2; exit 2")
			require.ErrorAs(t, err, new(usageError))
			require.EqualError(t, err, test.want)
		})
	}

	t.Run("a fault names the log", func(t *testing.T) {
		t.Parallel()
		cfg := devConfig(t)
		_, err := startScript(t.Context(), t, cfg, "exit 1")
		require.EqualError(t, err, "the embedded Temporal server ended before it was ready; its log is "+
			filepath.Join(cfg.DataDir, "temporal.log"))
	})

	t.Run("a server that says something else is not ours", func(t *testing.T) {
		t.Parallel()
		_, err := startScript(t.Context(), t, devConfig(t), "echo hello; exec cat")
		require.ErrorContains(t, err, `says "hello\n" instead of being ready`)
	})

	t.Run("a start that is called off kills the server", func(t *testing.T) {
		t.Parallel()
		now, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := startScript(now, t, devConfig(t), "exec tail -f /dev/null")
		require.ErrorIs(t, err, context.Canceled)
	})

	t.Run("a log that has grown is set aside", func(t *testing.T) {
		t.Parallel()
		cfg := devConfig(t)
		log := filepath.Join(cfg.DataDir, "temporal.log")
		require.NoError(t, os.WriteFile(log, make([]byte, maxTemporalLog+1), 0o600))
		s, err := startScript(t.Context(), t, cfg, sayReady+"exec cat")
		require.NoError(t, err)
		require.NoError(t, s.Stop(t.Context()))
		require.FileExists(t, log+".old")
		info, err := os.Stat(log)
		require.NoError(t, err)
		require.Zero(t, info.Size())
	})
}
