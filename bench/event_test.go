package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestEvents(t *testing.T) {
	t.Parallel()

	all := append(events("a", feed, 100), events("b", otherFeed, 100)...)
	seen := map[string]bool{}
	for _, e := range all {
		require.False(t, seen[e.id], "ids are unique")
		seen[e.id] = true
	}
	var published struct {
		ID, Type, Source string
		Scope            map[string]string
	}
	body := all[100].body()
	require.NoError(t, json.Unmarshal(body, &published))
	require.Equal(t, "package.added", published.Type)
	require.Equal(t, otherFeed, published.Scope["feed"])
	require.Equal(t, all[100].id, carillon.EventID(published.Source, published.ID), "the id that a receiver sees")
	require.InDelta(t, 1024, len(body), 150, "about 1 KB")
}
