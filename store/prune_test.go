package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/store"
)

// aged is a claim of an event that was received so long before noon, with
// deliveries in the state.
func aged(id string, age time.Duration, state carillon.DeliveryState, subscriptions ...string) carillon.Claim {
	c := newClaim(newEvent(id), "run-"+id, subscriptions...)
	c.Publication.ReceivedAt = noon.Add(-age)
	for i := range c.Deliveries {
		c.Deliveries[i].State = state
	}
	return c
}

func write(t *testing.T, s *store.Store, claims ...carillon.Claim) {
	t.Helper()
	for _, c := range claims {
		result, err := s.Claim(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, carillon.ClaimNew, result.Result)
	}
}

// events lists the ids that the index has, newest first.
func events(t *testing.T, s *store.Store) []string {
	t.Helper()
	rows, err := s.ListEvents(t.Context(), carillon.EventFilter{Limit: 1000})
	require.NoError(t, err)
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.Event.ID
	}
	return ids
}

// pruneAll prunes in batches of limit rows and counts what went.
func pruneAll(t *testing.T, s *store.Store, before time.Time, limit int) (deliveries, events int) {
	t.Helper()
	subscription, err := s.NextDelivered(t.Context(), "")
	require.NoError(t, err)
	for subscription != "" {
		removed, err := s.PruneDeliveries(t.Context(), subscription, before, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, removed, limit)
		deliveries += removed
		if removed == limit {
			continue
		}
		subscription, err = s.NextDelivered(t.Context(), subscription)
		require.NoError(t, err)
	}
	for place := (carillon.EventCursor{}); ; {
		removed, next, err := s.PruneEvents(t.Context(), before, place, limit)
		require.NoError(t, err)
		events += removed
		if place = next; place == (carillon.EventCursor{}) {
			return deliveries, events
		}
	}
}

const old = 100 * 24 * time.Hour

func TestPruneRemovesWhatIsOldAndKeepsTheNewestFiftyOfASubscription(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s := openStore(t, databaseURL)
		create(t, s, newSubscription("sub_busy"))
		create(t, s, newSubscription("sub_quiet"))
		for n := range 130 { // the oldest first
			write(t, s, aged(fmt.Sprintf("evt_%03d", n), old-time.Duration(n)*time.Minute, carillon.Succeeded, "sub_busy"))
		}
		last := aged("evt_quiet", old+time.Hour, carillon.Failed, "sub_quiet")
		last.Deliveries[0].Status, last.Deliveries[0].Error, last.Deliveries[0].Duration = 503, "HTTP 503", time.Second
		write(t, s, last,
			aged("evt_none", old, carillon.Pending),      // of nobody
			aged("evt_new", time.Hour, carillon.Pending), // of nobody, yet
		)

		deliveries, removed := pruneAll(t, s, noon.Add(-90*24*time.Hour), 7)
		require.Equal(t, 80, deliveries)
		require.Equal(t, 81, removed)
		have := events(t, s)
		require.Len(t, have, 52)
		require.Equal(t, "evt_new", have[0])
		require.Equal(t, "evt_080", have[50], "the fiftieth of sub_busy")
		require.Equal(t, "evt_quiet", have[51])
		scoped, err := s.ListEvents(t.Context(), carillon.EventFilter{Scope: map[string]string{"product": "tools"}, Limit: 1000})
		require.NoError(t, err)
		require.Len(t, scoped, 52)
		var scopes int
		require.NoError(t, openRaw(t, databaseURL).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM event_scopes`).Scan(&scopes))
		require.Equal(t, 2*52, scopes, "the index of scopes goes with its events")

		kept, err := s.Delivery(t.Context(), "evt_quiet", "sub_quiet")
		require.NoError(t, err)
		require.Equal(t, carillon.Failed, kept.State)
		require.Equal(t, 503, kept.Status)
		require.Equal(t, "HTTP 503", kept.Error)
		require.Equal(t, time.Second, kept.Duration)

		deliveries, removed = pruneAll(t, s, noon.Add(-90*24*time.Hour), 7)
		require.Zero(t, deliveries+removed, "again, it changes nothing")
	})
}

func TestPruneTakesAtMostWhatIsOldEnough(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		for n := range 60 {
			write(t, s, aged(fmt.Sprintf("evt_%03d", n), time.Duration(n)*time.Hour, carillon.Succeeded, "sub_1"))
		}
		before := noon.Add(-57 * time.Hour) // older than that are two
		deliveries, removed := pruneAll(t, s, before, 1000)
		require.Equal(t, 2, deliveries)
		require.Equal(t, 2, removed, "what was received in that very moment stays")
	})
}

func TestPruneKeepsWhatIsNotFinal(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		// No subscription of these exists any more, so nothing is kept for being
		// new among its own.
		for _, state := range carillon.DeliveryStates {
			write(t, s, aged("evt_"+string(state), old, state, "sub_deleted"))
		}
		mixed := aged("evt_mixed", old, carillon.Succeeded, "sub_a", "sub_b")
		mixed.Deliveries[1].State = carillon.Held
		write(t, s, mixed)

		deliveries, removed := pruneAll(t, s, noon.Add(-90*24*time.Hour), 1000)
		require.Equal(t, 4, deliveries, "succeeded, failed, canceled, and one half of the mixed")
		require.Equal(t, 3, removed)
		require.ElementsMatch(t, []string{"evt_pending", "evt_retrying", "evt_held", "evt_mixed"}, events(t, s))
		_, err := s.Delivery(t.Context(), "evt_mixed", "sub_b")
		require.NoError(t, err)
	})
}

// A row that is kept still tells a repeated post; one that is gone does not.
func TestAnEventIsKnownAsLongAsItsRowIsKept(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		kept, gone := aged("evt_kept", old, carillon.Succeeded, "sub_1"), aged("evt_gone", old, carillon.Succeeded)
		write(t, s, kept, gone)
		pruneAll(t, s, noon.Add(-90*24*time.Hour), 1000)

		kept.Run.RunID, gone.Run.RunID = "run-later", "run-later"
		result, err := s.Claim(t.Context(), kept)
		require.NoError(t, err)
		require.Equal(t, carillon.ClaimDuplicate, result.Result)
		result, err = s.Claim(t.Context(), gone)
		require.NoError(t, err)
		require.Equal(t, carillon.ClaimNew, result.Result)
	})
}
