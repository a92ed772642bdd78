package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

func TestParse(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name string
		args []string
		want string
	}{
		{"a scenario that is not there", []string{"-scenario", "fast"}, `-scenario "fast": allowed are all, single, fanout10`},
		{"an argument", []string{"single"}, `unexpected argument "single"`},
		{"no repetition", []string{"-repeat", "0"}, "-repeat 0: at least 1"},
		{"PostgreSQL without a server", []string{"-postgres", "", "-database", "postgres"}, "postgres needs -postgres"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var errOut bytes.Buffer
			require.Equal(t, exitUsage, command(t.Context(), test.args, &bytes.Buffer{}, &errOut))
			require.Contains(t, errOut.String(), test.want)
		})
	}
	t.Run("scenarios run in the order given, on what there is", func(t *testing.T) {
		t.Parallel()
		s, err := parse([]string{"-scenario", "latency,single", "-postgres", "postgres://127.0.0.1/x"}, &bytes.Buffer{})
		require.NoError(t, err)
		require.Equal(t, []string{onSQLite, onPostgres}, s.databases)
		require.Equal(t, "latency", s.scenarios[0].name)
		require.Equal(t, "single", s.scenarios[1].name)
	})
}

func TestRetries(t *testing.T) {
	t.Parallel()
	var sub client.Subscription
	retries(1, 2)(&sub)
	require.Len(t, sub.Retry.Schedule, carillon.MaxRetries)
	require.Equal(t, carillon.Duration(2), sub.Retry.Schedule[19])
	require.Equal(t, carillon.DisableNever, sub.Retry.Disable)
}

func TestMemory(t *testing.T) {
	t.Parallel()
	m := memory{samples: []sample{{0, 10}, {5, 20}, {9, 40}, {10, 1000}}}
	require.InDelta(t, 30, m.between(5, 10), 1e-9)
	require.Zero(t, m.between(50, 60))
}

func TestDatabaseNames(t *testing.T) {
	t.Parallel()
	_, err := newDatabase(t.Context(), "postgres://%zz")
	require.ErrorContains(t, err, "-postgres: not a URL")
}
