package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChart(t *testing.T) {
	t.Parallel()

	c := chart{
		Title: "Throughput & <fan-out>", XLabel: "subscribers", YLabel: "a second",
		Lines: []line{
			{"deliveries", []point{{1, 140}, {10, 1100}, {100, 4000}}},
			{"empty runs", []point{{1, 160}, {100, 0}}},
		},
	}
	text := c.svg()
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, "well-formed")
	}
	require.Contains(t, text, "Throughput &amp; &lt;fan-out&gt;")
	require.Contains(t, text, "prefers-color-scheme:dark")
	require.Equal(t, 2, strings.Count(text, "<polyline"))
	require.Equal(t, 5, strings.Count(text, "<circle"))
	require.NotContains(t, text, "NaN")
	require.NotContains(t, text, "Inf")
	require.Contains(t, text, ">5k</text>", "thousands are short")
}

func TestEmptyChart(t *testing.T) {
	t.Parallel()
	require.NotContains(t, chart{}.svg(), "NaN")
}

func TestScale(t *testing.T) {
	t.Parallel()

	s := newScale([]float64{3, 70}, 0, 100)
	require.InDelta(t, 2, s.least, 1e-9)
	require.InDelta(t, 100, s.greatest, 1e-9)
	require.InDelta(t, 0, s.at(2), 1e-9)
	require.InDelta(t, 100, s.at(100), 1e-9)
	require.InDeltaSlice(t, []float64{2, 5, 10, 20, 50, 100}, s.ticks(), 1e-9)
	one := newScale([]float64{5, 5}, 0, 100)
	require.Less(t, one.least, one.greatest, "a single value has an axis too")
}

func TestDrawAll(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	lines := []line{{"p50", []point{{10, 5}}}}
	require.NoError(t, drawAll(folder, []*result{
		{Scenario: "load", Database: onSQLite, Lines: lines}, {Scenario: "single", Database: onSQLite},
	}))
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.FileExists(t, filepath.Join(folder, "performance-latency.svg"))
}
