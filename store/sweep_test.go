package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func TestOverdueDeliveriesAreThoseOfWhichNothingWasHeard(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		setState(t, s, "sub_1", carillon.Paused) // so that one can be held for it
		silent := func(id string, state carillon.DeliveryState, updated, next time.Time) carillon.Claim {
			c := aged(id, 3*time.Hour, state, "sub_1")
			c.Deliveries[0].UpdatedAt, c.Deliveries[0].NextAt = updated, next
			return c
		}
		past := noon.Add(-2 * time.Hour)
		write(t, s,
			silent("evt_a_pending", carillon.Pending, past, time.Time{}),
			silent("evt_b_due", carillon.Retrying, past, noon.Add(-61*time.Minute)),
			silent("evt_c_waits", carillon.Retrying, past, noon.Add(24*time.Hour)),
			silent("evt_d_just_due", carillon.Retrying, past, noon.Add(-time.Minute)),
			silent("evt_e_fresh", carillon.Pending, noon.Add(-time.Minute), time.Time{}),
			silent("evt_f_held", carillon.Held, past, time.Time{}),
			silent("evt_g_done", carillon.Succeeded, past, time.Time{}),
			silent("evt_h_failed", carillon.Failed, past, time.Time{}),
		)
		since := noon.Add(-time.Hour)
		var have []string
		for place := (carillon.DeliveryCursor{}); ; {
			rows, err := s.OverdueDeliveries(t.Context(), since, place, 1)
			require.NoError(t, err)
			if len(rows) == 0 {
				break
			}
			have = append(have, rows[0].EventID)
			place = carillon.DeliveryCursor{
				ReceivedAt: rows[0].ReceivedAt, EventID: rows[0].EventID, SubscriptionID: rows[0].SubscriptionID,
			}
		}
		require.Equal(t, []string{"evt_a_pending", "evt_b_due"}, have)
	})
}

func TestADeliveryThatWentOnMeanwhileIsNotClosed(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		write(t, s, aged("evt_1", 3*time.Hour, carillon.Retrying, "sub_closed", "sub_done", "sub_heard", "sub_taken"))
		rows, err := s.EventDeliveries(t.Context(), "evt_1", "", 10)
		require.NoError(t, err)
		require.Len(t, rows, 4)

		done, heard := rows[1], rows[2]
		done.State, done.UpdatedAt = carillon.Succeeded, noon.Add(time.Second)
		heard.Attempts, heard.UpdatedAt = 2, noon.Add(time.Second)
		record(t, s, "run-evt_1", done, heard)
		for i := range rows {
			rows[i].State, rows[i].Error = carillon.Canceled, "its run was terminated"
		}
		rows[3].Run.RunID = "run-another"

		closed, err := s.CloseDeliveries(t.Context(), rows, noon.Add(time.Minute))
		require.NoError(t, err)
		require.Len(t, closed, 1)
		require.Equal(t, "sub_closed", closed[0].SubscriptionID)
		now, err := s.EventDeliveries(t.Context(), "evt_1", "", 10)
		require.NoError(t, err)
		var states []carillon.DeliveryState
		for _, d := range now {
			states = append(states, d.State)
		}
		require.Equal(t, []carillon.DeliveryState{
			carillon.Canceled, carillon.Succeeded, carillon.Retrying, carillon.Retrying,
		}, states)
		require.Equal(t, "its run was terminated", now[0].Error)
		require.True(t, now[0].NextAt.IsZero())
		require.Equal(t, noon.Add(time.Minute), now[0].UpdatedAt)

		closed, err = s.CloseDeliveries(t.Context(), rows, noon.Add(time.Hour))
		require.NoError(t, err)
		require.Empty(t, closed, "once")
	})
}
