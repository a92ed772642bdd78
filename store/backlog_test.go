package store_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func backlogOf(id string, states ...carillon.DeliveryState) carillon.Backlog {
	return carillon.Backlog{SubscriptionID: id, States: states, Before: noon.Add(time.Hour)}
}

// setState enables, pauses or disables a subscription as the API does.
func setState(t *testing.T, s *store.Store, id string, state carillon.SubscriptionState) {
	t.Helper()
	sub, err := s.Subscription(t.Context(), id)
	require.NoError(t, err)
	sub.State = state
	_, err = s.UpdateSubscription(t.Context(), sub, 0, "admin")
	require.NoError(t, err)
}

// An event that finds its subscription paused is held, or it finds it enabled
// and is not: whatever the order, a look at the backlog after enabling misses
// none that is held.
func TestNoDeliveryIsHeldUnseenWhileItsSubscriptionIsEnabled(t *testing.T) {
	t.Parallel()

	const rounds = 500
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		held, pending := 0, 0
		for n := range rounds {
			setState(t, s, "sub_1", carillon.Paused)
			id := fmt.Sprintf("evt_%d", n)
			c := newClaim(newEvent(id), "run-"+id, "sub_1")
			c.Deliveries[0].State = carillon.Held
			c.Deliveries[0].EventID = id
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := s.Claim(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
			setState(t, s, "sub_1", carillon.Enabled)
			backlog, total, err := s.Backlog(t.Context(), backlogOf("sub_1", carillon.Held), 10)
			require.NoError(t, err)
			wg.Wait()
			row, err := s.Delivery(t.Context(), id, "sub_1")
			require.NoError(t, err)
			if row.State == carillon.Pending {
				pending++
				require.Zero(t, total)
				continue
			}
			held++
			require.Equal(t, carillon.Held, row.State)
			require.Equal(t, 1, total, "held, and missed by the look that followed the enabling")
			_, ok, err := s.Reclaim(t.Context(), carillon.Redelivery{
				EventID: id, SubscriptionID: "sub_1", Number: 1, From: []carillon.DeliveryState{carillon.Held},
			}, carillon.Run{WorkflowID: "w", RunID: id}, noon)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, id, backlog[0].EventID)
		}
		t.Logf("%d held, %d pending", held, pending)
	})
}

func TestRecordHoldsOnlyForSubscriptionsThatTakeNone(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		for _, id := range []string{"sub_enabled", "sub_paused", "sub_tried"} {
			create(t, s, newSubscription(id))
		}
		setState(t, s, "sub_paused", carillon.Paused)
		claim(t, s, newEvent("evt_1"), "run-1", "sub_enabled", "sub_paused", "sub_tried")
		rows, err := s.EventDeliveries(t.Context(), "evt_1", "", 10)
		require.NoError(t, err)
		for i := range rows {
			rows[i].State = carillon.Held
		}
		rows[2].PutBack = true
		recorded, err := s.Record(t.Context(), "run-1", rows)
		require.NoError(t, err)
		require.Equal(t, []string{"sub_enabled"}, recorded.Reopened)
		for id, want := range map[string]carillon.DeliveryState{
			"sub_enabled": carillon.Pending, "sub_paused": carillon.Held, "sub_tried": carillon.Held,
		} {
			row, err := s.Delivery(t.Context(), "evt_1", id)
			require.NoError(t, err)
			require.Equal(t, want, row.State, id)
		}
		holding, err := s.Holding(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"sub_tried"}, holding)
	})
}

func TestBacklogIsOldestFirstAndChoosesByStateAndTime(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		setState(t, s, "sub_1", carillon.Paused)
		for n, state := range []carillon.DeliveryState{carillon.Held, carillon.Failed, carillon.Held, carillon.Succeeded} {
			c := newClaim(newEvent(fmt.Sprintf("evt_%d", n)), "run", "sub_1")
			c.Publication.ReceivedAt = noon.Add(time.Duration(n) * time.Minute)
			c.Deliveries[0].State = state
			_, err := s.Claim(t.Context(), c)
			require.NoError(t, err)
		}
		ids := func(b carillon.Backlog, limit int) (all []string) {
			rows, total, err := s.Backlog(t.Context(), b, limit)
			require.NoError(t, err)
			for _, d := range rows {
				all = append(all, d.EventID)
			}
			return append(all, strconv.Itoa(total))
		}
		require.Equal(t, []string{"evt_0", "evt_2", "2"}, ids(backlogOf("sub_1", carillon.Held), 10))
		require.Equal(t, []string{"evt_0", "2"}, ids(backlogOf("sub_1", carillon.Held), 1))
		require.Equal(t, []string{"evt_0", "evt_1", "evt_2", "3"}, ids(backlogOf("sub_1", carillon.Held, carillon.Failed), 10))
		since := backlogOf("sub_1", carillon.Held, carillon.Failed)
		since.Since, since.Until = noon.Add(time.Minute), noon.Add(2*time.Minute)
		require.Equal(t, []string{"evt_1", "1"}, ids(since, 10))
		tried := backlogOf("sub_1", carillon.Held, carillon.Failed)
		tried.Before = noon // what failed since then had its turn; what is held is due for ever
		require.Equal(t, []string{"evt_0", "evt_2", "2"}, ids(tried, 10))
	})
}

func TestReclaimIsOnceForANumber(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		claim(t, s, newEvent("evt_1"), "run-1", "sub_1")
		again := carillon.Redelivery{EventID: "evt_1", SubscriptionID: "sub_1", Number: 1, From: carillon.Redeliverable()}
		reclaim := func(r carillon.Redelivery, run string) bool {
			_, ok, err := s.Reclaim(t.Context(), r, carillon.Run{WorkflowID: "redelivery", RunID: run}, noon)
			require.NoError(t, err)
			return ok
		}
		require.False(t, reclaim(again, "run-2"), "it is under way")
		record(t, s, "run-1", carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Failed, Attempts: 3})
		require.True(t, reclaim(again, "run-2"))
		require.True(t, reclaim(again, "run-2"), "the same run may ask again")
		require.False(t, reclaim(again, "run-3"))
		row, err := s.Delivery(t.Context(), "evt_1", "sub_1")
		require.NoError(t, err)
		require.Equal(t, carillon.Pending, row.State)
		require.Equal(t, 1, row.Redeliveries)
		require.Zero(t, row.Attempts, "its schedule begins anew")
		require.Equal(t, carillon.Run{WorkflowID: "redelivery", RunID: "run-2"}, row.Run)

		// The run before is no longer the owner.
		record(t, s, "run-1", carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Failed})
		row, err = s.Delivery(t.Context(), "evt_1", "sub_1")
		require.NoError(t, err)
		require.Equal(t, carillon.Pending, row.State)

		again.Number = 2
		record(t, s, "run-2", carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Succeeded, Attempts: 1})
		require.True(t, reclaim(again, "run-4"))
		unknown := again
		unknown.EventID = "evt_unknown"
		require.False(t, reclaim(unknown, "run-5"))
	})
}
