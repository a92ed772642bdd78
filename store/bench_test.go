package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/store"
)

// BenchmarkDelivery is what the healthy path asks of the database for an event:
// one look when it is accepted, one claim, one record.
func BenchmarkDelivery(b *testing.B) {
	for _, deliveries := range []int{1, 10} {
		b.Run(fmt.Sprintf("sqlite/%d", deliveries), func(b *testing.B) { benchmarkDelivery(b, dbtest.SQLite(b), deliveries) })
		if url, ok := dbtest.Postgres(b); ok {
			b.Run(fmt.Sprintf("postgres/%d", deliveries), func(b *testing.B) { benchmarkDelivery(b, url, deliveries) })
		}
	}
}

func benchmarkDelivery(b *testing.B, databaseURL string, deliveries int) {
	b.Helper()
	s := openBench(b, databaseURL)
	subscriptions := make([]string, deliveries)
	for i := range subscriptions {
		subscriptions[i] = fmt.Sprint("sub_", i)
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		event := newEvent(fmt.Sprintf("evt_%d_%d", b.N, n))
		_, _, err := s.Accepted(b.Context(), event.ID)
		require.NoError(b, err)
		claim := newClaim(event, event.ID, subscriptions...)
		_, err = s.Claim(b.Context(), claim)
		require.NoError(b, err)
		for i := range claim.Deliveries {
			claim.Deliveries[i].State, claim.Deliveries[i].Attempts = carillon.Succeeded, 1
		}
		_, err = s.Record(b.Context(), event.ID, claim.Deliveries)
		require.NoError(b, err)
	}
}

// BenchmarkChanges brings a copy of ten thousand subscriptions up to date: a new
// one at the start of a process, after a change, and after a deletion.
func BenchmarkChanges(b *testing.B) {
	s := openBench(b, dbtest.SQLite(b))
	var c replica
	for i := range 10_000 {
		_, err := s.CreateSubscription(b.Context(), newSubscription(fmt.Sprintf("sub_%05d", i)), "admin")
		require.NoError(b, err)
	}
	require.NoError(b, c.follow(b.Context(), s))
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, new(replica).follow(b.Context(), s))
		}
	})
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			_, err := s.UpdateSubscription(b.Context(), newSubscription("sub_05000"), 0, "admin")
			require.NoError(b, err)
			require.NoError(b, c.follow(b.Context(), s))
		}
	})
	b.Run("a deletion", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, s.DeleteSubscription(b.Context(), "sub_05000", 0, "admin", noon))
			require.NoError(b, c.follow(b.Context(), s))
			_, err := s.CreateSubscription(b.Context(), newSubscription("sub_05000"), "admin")
			require.NoError(b, err)
			require.NoError(b, c.follow(b.Context(), s))
		}
	})
}

func openBench(b *testing.B, databaseURL string) *store.Store {
	b.Helper()
	ring, err := seal.NewRing(seal.NewKey())
	require.NoError(b, err)
	s, err := store.Open(b.Context(), databaseURL, ring)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}
