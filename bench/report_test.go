package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestChecks(t *testing.T) {
	t.Parallel()

	r := &result{}
	r.atLeast("events to the floor", 0.9, 0.85)
	r.atMost("p99", 2.5, 2)
	require.Equal(t, []check{
		{"events to the floor", "at least 0.85", "0.90", true},
		{"p99", "at most 2", "2.50", false},
	}, r.Checks)
	require.False(t, r.met())
	r.Checks = r.Checks[:1]
	require.True(t, r.met())
	r.LeftOut = "no such route"
	require.False(t, r.met(), "what was left out meets no threshold")
}

func TestFill(t *testing.T) {
	t.Parallel()

	begin := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	all := events("fill", feed, 4)
	posts := []posted{{at(0), at(1)}, {at(0), at(2)}, {at(1), at(2)}, {at(1), at(2)}}
	a, b := &endpoint{arrivals: map[string]arrival{}}, &endpoint{arrivals: map[string]arrival{}}
	for _, e := range all {
		a.take(e.id, at(1))
	}
	a.take(all[0].id, at(3))
	for _, e := range all[1:] {
		b.take(e.id, at(4))
	}
	r := &result{}
	r.fill(all, posts, []*endpoint{a, b})
	require.Equal(t, tally{Lost: 1, Duplicated: 1}, r.tally)
	require.InDelta(t, 2, r.Accepted, 1e-9, "4 in 2 s")
	require.InDelta(t, 7.0/4, r.Delivered, 1e-9, "7 in 4 s; what came again does not count")
	require.InDelta(t, 4000, r.PublishToReceive.P99, 1e-9)
	require.Zero(t, r.Stragglers)

	late := events("late", feed, 2)
	c := &endpoint{arrivals: map[string]arrival{}}
	c.take(late[0].id, at(2))
	c.take(late[1].id, at(60))
	r = &result{}
	r.fill(late, []posted{{at(0), at(1)}, {at(0), at(1)}}, []*endpoint{c})
	require.Equal(t, 1, r.Stragglers)
	require.InDelta(t, 2.0/60, r.Delivered, 1e-9, "one straggler sets the rate")
	require.InDelta(t, 0.5, r.Prompt, 1e-9)
}

func TestRepeated(t *testing.T) {
	t.Parallel()

	one := func(scenario string, value float64) *result {
		return &result{Scenario: scenario, Database: onSQLite, Ratios: map[string]float64{"delivered to floor": value}}
	}
	t.Run("ratios within 15 % agree", func(t *testing.T) {
		t.Parallel()
		found := repeated([]*result{one("single", 0.9), one("batch", 24), one("single", 1)})
		require.Equal(t, [][]string{{onSQLite, "single", "delivered to floor", "0.90 1", "11 %", "agree"}}, found.Rows)
		require.True(t, agree(found))
	})
	t.Run("those further apart differ", func(t *testing.T) {
		t.Parallel()
		found := repeated([]*result{one("single", 0.8), one("single", 1)})
		require.False(t, agree(found))
	})
	t.Run("databases are not compared with each other", func(t *testing.T) {
		t.Parallel()
		other := one("single", 3)
		other.Database = onPostgres
		require.Empty(t, repeated([]*result{one("single", 1), other}).Rows)
	})
}

func TestShow(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	r := &result{Scenario: "single", Database: onSQLite, Events: 10, Delivered: 140, Floor: 160}
	r.ratio("delivered to floor", 0.875)
	r.atLeast("events delivered, to the engine's floor", 0.875, 0.85)
	r.show(&out)
	require.Contains(t, out.String(), "delivered/s")
	require.Contains(t, out.String(), "met      events delivered, to the engine's floor: 0.88 (at least 0.85)")
	out.Reset()
	(&result{Scenario: "batch", LeftOut: "this carillon has no POST /v1/events/batch"}).show(&out)
	require.Contains(t, out.String(), "left out: this carillon has no POST /v1/events/batch")
}

func TestWrite(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "results", "report.json")
	require.NoError(t, (&report{Profile: "short", Results: []*result{{Scenario: "single", tally: tally{Lost: 1}}}}).write(file))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var read struct {
		Results []map[string]any `json:"results"`
	}
	require.NoError(t, json.Unmarshal(text, &read))
	require.Equal(t, "single", read.Results[0]["scenario"])
	require.InDelta(t, 1, read.Results[0]["lost"], 0)
}
