package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func record(t *testing.T, s *store.Store, run string, rows ...carillon.Delivery) {
	t.Helper()
	_, err := s.Record(t.Context(), run, rows)
	require.NoError(t, err)
}

func TestRecordWritesWhatBecameOfDeliveries(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		claim(t, s, newEvent("evt_1"), "run-1", "sub_1", "sub_2", "sub_3")
		want, err := s.EventDeliveries(t.Context(), "evt_1", "", 10)
		require.NoError(t, err)
		want[0].State, want[0].Attempts, want[0].Status = carillon.Retrying, 2, 503
		want[0].Error, want[0].Duration = "HTTP 503", 1500*time.Millisecond
		want[0].NextAt, want[0].FirstFailedAt, want[0].UpdatedAt = noon.Add(time.Hour), noon, noon.Add(time.Minute)
		want[1].State, want[1].Attempts, want[1].Status, want[1].UpdatedAt = carillon.Succeeded, 1, 204, noon.Add(time.Minute)

		unknown := carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_9", State: carillon.Succeeded}
		for range 2 {
			record(t, s, "run-1", want[0], want[1], unknown)
			got, err := s.EventDeliveries(t.Context(), "evt_1", "", 10)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		record(t, s, "run-1")
	})
}

func TestARunRecordsItsOwnDeliveriesOnly(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		claim(t, s, newEvent("evt_1"), "run-1", "sub_1")
		record(t, s, "run-2", carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Failed})
		got, err := s.Delivery(t.Context(), "evt_1", "sub_1")
		require.NoError(t, err)
		require.Equal(t, carillon.Pending, got.State)
	})
}

func TestADeliveryCanceledByDeletionIsNotTakenUpAgain(t *testing.T) {
	t.Parallel()

	for state, want := range map[carillon.DeliveryState]carillon.DeliveryState{
		carillon.Retrying:  carillon.Canceled,
		carillon.Held:      carillon.Canceled,
		carillon.Succeeded: carillon.Succeeded,
		carillon.Failed:    carillon.Failed,
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, s *store.Store) {
				for _, id := range []string{"sub_1", "sub_2"} {
					create(t, s, newSubscription(id))
				}
				setState(t, s, "sub_2", carillon.Paused)
				claim(t, s, newEvent("evt_1"), "run-1", "sub_1", "sub_2")
				require.NoError(t, s.DeleteSubscription(t.Context(), "sub_1", 0, "admin", noon))
				record(t, s, "run-1",
					carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_1", State: state},
					carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_2", State: carillon.Canceled})
				got, err := s.Delivery(t.Context(), "evt_1", "sub_1")
				require.NoError(t, err)
				require.Equal(t, want, got.State)

				record(t, s, "run-1", carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_2", State: state})
				got, err = s.Delivery(t.Context(), "evt_1", "sub_2")
				require.NoError(t, err)
				require.Equal(t, state, got.State, "a run that was reset goes on from canceled")
			})
		})
	}
}

func TestListDeliveries(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		setState(t, s, "sub_1", carillon.Paused) // so that one can be held for it
		// evt_0 … evt_5, a minute apart, each to sub_1 and sub_2; those to sub_1
		// take all states.
		for i, state := range carillon.DeliveryStates {
			c := newClaim(newEvent(fmt.Sprint("evt_", i)), "run-1", "sub_1", "sub_2")
			c.Publication.ReceivedAt = noon.Add(time.Duration(i) * time.Minute)
			c.Deliveries[0].State = state
			c.Deliveries[1].State = carillon.Succeeded
			_, _, err := s.Claim(t.Context(), c)
			require.NoError(t, err)
		}
		all := []string{"5/2", "5/1", "4/2", "4/1", "3/2", "3/1", "2/2", "2/1", "1/2", "1/1", "0/2", "0/1"}
		tests := []struct {
			name   string
			filter carillon.DeliveryFilter
			want   []string
		}{
			{"all, newest first", carillon.DeliveryFilter{Limit: 20}, all},
			{"at most the limit", carillon.DeliveryFilter{Limit: 3}, all[:3]},
			{"one state", carillon.DeliveryFilter{States: []carillon.DeliveryState{carillon.Failed}, Limit: 20}, []string{"4/1"}},
			{
				"several states, succeeded among them",
				carillon.DeliveryFilter{States: []carillon.DeliveryState{carillon.Held, carillon.Succeeded}, SubscriptionID: "sub_1", Limit: 20},
				[]string{"3/1", "2/1"},
			},
			{
				"several states, without succeeded",
				carillon.DeliveryFilter{States: []carillon.DeliveryState{carillon.Held, carillon.Failed}, SubscriptionID: "sub_1", Limit: 20},
				[]string{"4/1", "2/1"},
			},
			{"one subscription", carillon.DeliveryFilter{SubscriptionID: "sub_2", Limit: 2}, []string{"5/2", "4/2"}},
			{"one event", carillon.DeliveryFilter{EventID: "evt_3", Limit: 20}, []string{"3/2", "3/1"}},
			{
				"since is inclusive and until exclusive",
				carillon.DeliveryFilter{Since: noon.Add(time.Minute), Until: noon.Add(2 * time.Minute), Limit: 20},
				[]string{"1/2", "1/1"},
			},
			{
				"what is older than the cursor",
				carillon.DeliveryFilter{
					Before: carillon.DeliveryCursor{ReceivedAt: noon.Add(time.Minute), EventID: "evt_1", SubscriptionID: "sub_2"},
					Limit:  20,
				},
				[]string{"1/1", "0/2", "0/1"},
			},
			{"nothing", carillon.DeliveryFilter{SubscriptionID: "sub_9", Limit: 20}, nil},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				rows, err := s.ListDeliveries(t.Context(), test.filter)
				require.NoError(t, err)
				var got []string
				for _, row := range rows {
					got = append(got, row.EventID[4:]+"/"+row.SubscriptionID[4:])
				}
				require.Equal(t, test.want, got)
			})
		}

		var paged []string
		filter := carillon.DeliveryFilter{Limit: 5}
		for {
			rows, err := s.ListDeliveries(t.Context(), filter)
			require.NoError(t, err)
			if len(rows) == 0 {
				break
			}
			for _, row := range rows {
				paged = append(paged, row.EventID[4:]+"/"+row.SubscriptionID[4:])
			}
			last := rows[len(rows)-1]
			filter.Before = carillon.DeliveryCursor{ReceivedAt: last.ReceivedAt, EventID: last.EventID, SubscriptionID: last.SubscriptionID}
		}
		require.Equal(t, all, paged)

		_, err := s.ListDeliveries(t.Context(), carillon.DeliveryFilter{States: []carillon.DeliveryState{"x') OR ('1'='1"}, Limit: 1})
		require.ErrorContains(t, err, "is no state")
		_, err = s.Delivery(t.Context(), "evt_1", "sub_9")
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))
	})
}
