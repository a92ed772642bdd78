package main

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServeProfiles(t *testing.T) {
	t.Parallel()

	t.Run("profiles are read where they were asked for, until stopped", func(t *testing.T) {
		t.Parallel()
		l, err := listen(t.Context(), "127.0.0.1:0", "any")
		require.NoError(t, err)
		addr := l.Addr().String()
		require.NoError(t, l.Close())
		stop, err := serveProfiles(t.Context(), addr, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		resp, err := http.Get("http://" + addr + "/debug/pprof/goroutine?debug=1")
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Contains(t, string(body), "goroutine profile: total")
		stop()
		_, err = http.Get("http://" + addr + "/debug/pprof/") //nolint:bodyclose // there is none
		require.Error(t, err)
	})
	t.Run("without an address there are none", func(t *testing.T) {
		t.Parallel()
		stop, err := serveProfiles(t.Context(), "", slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		stop()
	})
	t.Run("a port that is taken names the setting", func(t *testing.T) {
		t.Parallel()
		l, err := listen(t.Context(), "127.0.0.1:0", "any")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		_, err = serveProfiles(t.Context(), l.Addr().String(), slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "set CARILLON_PPROF_ADDR to another")
	})
}
