package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

var gatherRun = carillon.Run{WorkflowID: "gather/sub_1", RunID: "gather-run"}

// gathered claims events for the batches of sub_1, a second apart.
func gathered(t *testing.T, s *store.Store, ids ...string) {
	t.Helper()
	for i, id := range ids {
		c := newClaim(newEvent(id), "run-"+id, "sub_1")
		c.Publication.ReceivedAt = noon.Add(time.Duration(i) * time.Second)
		c.Deliveries[0].Run.WorkflowID = gatherRun.WorkflowID
		_, err := s.Claim(t.Context(), c)
		require.NoError(t, err)
	}
}

func waiting(t *testing.T, s *store.Store) (ids []string) {
	t.Helper()
	rows, err := s.Gathered(t.Context(), "sub_1", 10)
	require.NoError(t, err)
	for _, row := range rows {
		ids = append(ids, row.EventID)
	}
	return ids
}

func settled(event string, state carillon.DeliveryState, attempts int) carillon.Delivery {
	return carillon.Delivery{EventID: event, SubscriptionID: "sub_1", State: state, Attempts: attempts, UpdatedAt: noon.Add(time.Hour)}
}

func TestABatchIsKeptWithItsSubscription(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		sub := newSubscription("sub_1")
		sub.Batch = carillon.Batch{Window: carillon.Duration(5 * time.Second), Max: 100}
		create(t, s, sub)
		read, err := s.Subscription(t.Context(), "sub_1")
		require.NoError(t, err)
		require.Equal(t, sub.Batch, read.Batch)
		read.Batch, read.UpdatedAt = carillon.Batch{}, noon.Add(time.Minute)
		_, err = s.UpdateSubscription(t.Context(), read, 0, "admin")
		require.NoError(t, err)
		read, err = s.Subscription(t.Context(), "sub_1")
		require.NoError(t, err)
		require.True(t, read.Batch.IsZero())
		entries, err := s.Audit(t.Context(), carillon.AuditFilter{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, "changed batch", entries[0].Detail)
	})
}

func TestRowsAreTheQueueOfBatches(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		gathered(t, s, "evt_3", "evt_1", "evt_2")
		alone := newClaim(newEvent("evt_0"), "run-0", "sub_1")
		_, err := s.Claim(t.Context(), alone)
		require.NoError(t, err)
		require.Equal(t, []string{"evt_3", "evt_1", "evt_2"}, waiting(t, s), "as they came, without what goes alone")

		failed := settled("evt_3", carillon.Retrying, 1)
		failed.Outcome, failed.Status, failed.Error = carillon.OutcomeRetry, 503, "HTTP 503"
		for range 2 { // again changes nothing
			out, err := s.Settle(t.Context(), gatherRun, []carillon.Delivery{failed, settled("evt_1", carillon.Retrying, 1)})
			require.NoError(t, err)
			require.LessOrEqual(t, out.Health["sub_1"].Failures, 1)
		}
		sub, err := s.Subscription(t.Context(), "sub_1")
		require.NoError(t, err)
		require.Equal(t, 1, sub.Health.Failures, "a request counts once")
		row, err := s.Delivery(t.Context(), "evt_3", "sub_1")
		require.NoError(t, err)
		require.Equal(t, gatherRun, row.Run, "it leads to the run that has the attempt")
		require.Equal(t, 503, row.Status)

		// Another run took one over, and one is canceled: what arrived has.
		_, ok, err := s.Reclaim(t.Context(), carillon.Redelivery{
			EventID: "evt_1", SubscriptionID: "sub_1", Number: 1, From: []carillon.DeliveryState{carillon.Retrying},
		}, carillon.Run{WorkflowID: "event/evt_1/sub_1/redelivery/1", RunID: "again"}, noon)
		require.NoError(t, err)
		require.True(t, ok)
		require.NoError(t, s.CancelGathered(t.Context(), "evt_2", "sub_1", noon))
		require.Equal(t, carillon.CodeConflict, carillon.CodeOf(s.CancelGathered(t.Context(), "evt_2", "sub_1", noon)))
		require.Equal(t, []string{"evt_3"}, waiting(t, s))
		_, err = s.Settle(t.Context(), gatherRun, []carillon.Delivery{
			settled("evt_3", carillon.Succeeded, 2), settled("evt_1", carillon.Succeeded, 2), settled("evt_2", carillon.Retrying, 1),
		})
		require.NoError(t, err)
		for id, state := range map[string]carillon.DeliveryState{
			"evt_3": carillon.Succeeded, "evt_1": carillon.Pending, "evt_2": carillon.Canceled, "evt_0": carillon.Pending,
		} {
			row, err := s.Delivery(t.Context(), id, "sub_1")
			require.NoError(t, err)
			require.Equal(t, state, row.State, id)
		}
		_, err = s.Settle(t.Context(), gatherRun, []carillon.Delivery{settled("evt_2", carillon.Succeeded, 1)})
		require.NoError(t, err)
		row, err = s.Delivery(t.Context(), "evt_2", "sub_1")
		require.NoError(t, err)
		require.Equal(t, carillon.Succeeded, row.State)
	})
}

func TestWhatWasHeldIsGatheredAgain(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		gathered(t, s, "evt_1", "evt_2")
		held := settled("evt_1", carillon.Held, 1)
		out, err := s.Settle(t.Context(), gatherRun, []carillon.Delivery{held})
		require.NoError(t, err)
		require.Equal(t, []string{"sub_1"}, out.Reopened, "it takes deliveries")
		require.Equal(t, []string{"evt_1", "evt_2"}, waiting(t, s))

		setState(t, s, "sub_1", carillon.Paused)
		out, err = s.Settle(t.Context(), gatherRun, []carillon.Delivery{held, settled("evt_2", carillon.Held, 1)})
		require.NoError(t, err)
		require.Empty(t, out.Reopened)
		require.Empty(t, waiting(t, s))

		setState(t, s, "sub_1", carillon.Enabled)
		n, err := s.Regather(t.Context(), backlogOf("sub_1", carillon.Held), noon)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, []string{"evt_1", "evt_2"}, waiting(t, s))
		row, err := s.Delivery(t.Context(), "evt_1", "sub_1")
		require.NoError(t, err)
		require.Zero(t, row.Attempts, "as if for the first time")
		n, err = s.Regather(t.Context(), backlogOf("sub_1", carillon.Held), noon)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}
