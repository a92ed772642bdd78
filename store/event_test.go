package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func TestListEvents(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		// evt_0 … evt_5, two of them at each minute.
		for i, e := range []carillon.Event{
			{Type: "package.added", Source: "a", Subject: "pkg:npm/x@1", Scope: map[string]string{"feed": "one"}},
			{Type: "package.added", Source: "b", Subject: "pkg:npm/x@1", Scope: map[string]string{"feed": "one", "product": "p"}},
			{Type: "package.deleted", Source: "a", Subject: "pkg:npm/y@1", Scope: map[string]string{"feed": "two", "product": "p"}},
			{Type: "build.finished", Source: "a"},
			{Type: "package.added", Source: "a", Scope: map[string]string{"feed": "one", "product": "q"}},
			{Type: "package.added", Source: "a", Subject: "pkg:npm/x@2", Scope: map[string]string{"product": "one"}},
		} {
			e.ID = fmt.Sprint("evt_", i)
			c := newClaim(e, "run-1")
			c.Publication.ReceivedAt = noon.Add(time.Duration(i/2) * time.Minute)
			_, _, err := s.Claim(t.Context(), c)
			require.NoError(t, err)
		}
		scope := func(pairs ...string) map[string]string {
			m := map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				m[pairs[i]] = pairs[i+1]
			}
			return m
		}
		at := func(minute int, id string) carillon.EventCursor {
			return carillon.EventCursor{ReceivedAt: noon.Add(time.Duration(minute) * time.Minute), ID: id}
		}
		tests := []struct {
			name   string
			filter carillon.EventFilter
			want   string
		}{
			{"all, newest first", carillon.EventFilter{Limit: 10}, "543210"},
			{"at most the limit", carillon.EventFilter{Limit: 2}, "54"},
			{"one type", carillon.EventFilter{Type: "package.added", Limit: 10}, "5410"},
			{"one source", carillon.EventFilter{Source: "b", Limit: 10}, "1"},
			{"one subject", carillon.EventFilter{Subject: "pkg:npm/x@1", Limit: 10}, "10"},
			{"one scope", carillon.EventFilter{Scope: scope("feed", "one"), Limit: 10}, "410"},
			{"a scope's value under another key", carillon.EventFilter{Scope: scope("product", "one"), Limit: 10}, "5"},
			{"two scopes", carillon.EventFilter{Scope: scope("feed", "one", "product", "p"), Limit: 10}, "1"},
			{"scope, type and subject", carillon.EventFilter{
				Scope: scope("feed", "one"), Type: "package.added", Subject: "pkg:npm/x@1", Source: "a", Limit: 10,
			}, "0"},
			{"since is inclusive and until exclusive", carillon.EventFilter{
				Since: noon.Add(time.Minute), Until: noon.Add(2 * time.Minute), Limit: 10,
			}, "32"},
			{"times within a scope", carillon.EventFilter{
				Scope: scope("feed", "one"), Since: noon.Add(time.Minute), Until: noon.Add(3 * time.Minute), Limit: 10,
			}, "4"},
			{"older than the cursor", carillon.EventFilter{Before: at(1, "evt_3"), Limit: 10}, "210"},
			{"older than the cursor within a scope", carillon.EventFilter{
				Scope: scope("feed", "one"), Before: at(0, "evt_1"), Limit: 10,
			}, "0"},
			{"nothing", carillon.EventFilter{Type: "ping", Limit: 10}, ""},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				rows, err := s.ListEvents(t.Context(), test.filter)
				require.NoError(t, err)
				got := ""
				for _, row := range rows {
					got += row.Event.ID[4:]
				}
				require.Equal(t, test.want, got)
			})
		}
	})
}
