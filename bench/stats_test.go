package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSummarize(t *testing.T) {
	t.Parallel()

	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	tests := []struct {
		name string
		of   []time.Duration
		want latencies
	}{
		{"nothing", nil, latencies{}},
		{"one is every percentile", []time.Duration{7 * time.Millisecond}, latencies{7, 7, 7}},
		{"two: the median is the lower", []time.Duration{2 * time.Millisecond, time.Millisecond}, latencies{1, 2, 2}},
		{"the order does not matter", hundred, latencies{50, 95, 99}},
		{"microseconds are kept", []time.Duration{1500 * time.Microsecond}, latencies{1.5, 1.5, 1.5}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, summarize(test.of))
		})
	}
}

func TestCount(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name         string
		acknowledged []string
		endpoints    []map[string]arrival
		want         tally
	}{
		{"everything once", []string{"a", "b"}, []map[string]arrival{{"a": {Count: 1}, "b": {Count: 1}}}, tally{}},
		{"one that never came", []string{"a", "b"}, []map[string]arrival{{"a": {Count: 1}}}, tally{Lost: 1}},
		{"one that came three times", []string{"a"}, []map[string]arrival{{"a": {Count: 3}}}, tally{Duplicated: 2}},
		{"what was not acknowledged does not count", []string{"a"}, []map[string]arrival{{"a": {Count: 1}, "b": {Count: 2}}}, tally{}},
		{"each endpoint by itself", []string{"a"}, []map[string]arrival{{"a": {Count: 2}}, {}}, tally{Lost: 1, Duplicated: 1}},
		{"no endpoint, nothing lost", []string{"a"}, nil, tally{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, count(test.acknowledged, test.endpoints))
		})
	}
}

func TestRatioOfNothing(t *testing.T) {
	t.Parallel()
	require.Zero(t, ratio(1, 0))
	require.Zero(t, mean())
	require.InDelta(t, 1.5, mean(1, 2), 0)
}
