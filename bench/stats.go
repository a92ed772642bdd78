package main

import (
	"math"
	"slices"
	"time"
)

// latencies are the percentiles of how long something took.
type latencies struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

// summarize returns the percentiles; zeros of nothing.
func summarize(durations []time.Duration) latencies {
	sorted := slices.Sorted(slices.Values(durations))
	return latencies{
		P50: milliseconds(percentile(sorted, 50)),
		P95: milliseconds(percentile(sorted, 95)),
		P99: milliseconds(percentile(sorted, 99)),
	}
}

// percentile is the nearest rank: the least value that p percent do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ratio is a / b, and 0 where there is no b to compare with.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// mean is 0 of nothing.
func mean(values ...float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return ratio(sum, float64(len(values)))
}

// tally says what became of the events that were acknowledged.
type tally struct {
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
}

// count compares what was acknowledged with what came in at each endpoint: an
// event that an endpoint never got is lost, and each further arrival of the
// same event a duplicate.
func count(acknowledged []string, endpoints []map[string]arrival) tally {
	var t tally
	for _, arrivals := range endpoints {
		for _, id := range acknowledged {
			if n := arrivals[id].Count; n > 0 {
				t.Duplicated += n - 1
			} else {
				t.Lost++
			}
		}
	}
	return t
}
