package store

import (
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
)

// A page of a list may not cost more on a large table: each filter that people
// use is answered in an index's order, without sorting and without reading the
// table from its beginning.
func TestListsAreReadInTheOrderOfAnIndex(t *testing.T) {
	t.Parallel()

	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	events := func(f carillon.EventFilter) (string, []any) {
		f.Limit = 50
		query, args, _ := eventsQuery(f, nil)
		return query, args
	}
	deliveries := func(f carillon.DeliveryFilter) (string, []any) {
		f.Limit = 50
		query, args, err := deliveriesQuery(f, nil, "")
		require.NoError(t, err)
		return query, args
	}
	feed := map[string]string{"feed": "internal-utils"}
	failed := []carillon.DeliveryState{carillon.Failed}
	oneFeed, twoFeeds := carillon.Confinement{"feed": {"a"}}, carillon.Confinement{"feed": {"a", "b"}}
	before := carillon.EventCursor{ReceivedAt: noon, ID: "evt_1"}
	tests := []struct {
		name  string
		query func() (string, []any)
		index string
	}{
		{"events", func() (string, []any) { return events(carillon.EventFilter{}) }, "events_by_time"},
		{"events after a cursor", func() (string, []any) { return events(carillon.EventFilter{Before: before}) }, "events_by_time"},
		{"events of a type", func() (string, []any) { return events(carillon.EventFilter{Type: "package.added", Before: before}) }, "events_by_type"},
		{"events of a subject", func() (string, []any) { return events(carillon.EventFilter{Subject: "pkg:npm/x@1", Since: noon}) }, "events_by_subject"},
		{"events of a scope", func() (string, []any) { return events(carillon.EventFilter{Scope: feed, Before: before}) }, "event_scopes"},
		{"deliveries", func() (string, []any) { return deliveries(carillon.DeliveryFilter{}) }, "deliveries_by_time"},
		{"deliveries in a state", func() (string, []any) { return deliveries(carillon.DeliveryFilter{States: failed, Until: noon}) }, "deliveries_by_state"},
		{"deliveries of a subscription", func() (string, []any) {
			return deliveries(carillon.DeliveryFilter{SubscriptionID: "sub_1", Before: carillon.DeliveryCursor{ReceivedAt: noon, EventID: "evt_1", SubscriptionID: "sub_1"}})
		}, "deliveries_by_subscription"},
		{"deliveries of a subscription in a state", func() (string, []any) {
			return deliveries(carillon.DeliveryFilter{SubscriptionID: "sub_1", States: failed})
		}, "deliveries_by_subscription_state"},
		{"deliveries that a deleted subscription leaves", func() (string, []any) {
			return cancelDeliveries, []any{0, "sub_1"}
		}, "deliveries_by_subscription_state"},
		{"the next subscription to prune", func() (string, []any) { return nextDelivered, []any{"sub_1"} }, "deliveries_by_subscription"},
		{"the newest that a subscription keeps", func() (string, []any) { return selectOldestOut, []any{"sub_1", 49} }, "deliveries_by_subscription"},
		{"threads to prune", func() (string, []any) { return pruneThreads, []any{1, 1000} }, "threads_by_use"},
		{"deliveries to prune", func() (string, []any) {
			return prunableDeliveries, []any{"sub_1", 1, "evt_1", 1000}
		}, "deliveries_by_subscription"},
		{"subscriptions that changed", func() (string, []any) { return changedSubscriptions, []any{7} }, "subscriptions_by_change"},
		{"the endpoints in trouble", func() (string, []any) { return inTrouble, nil }, "subscriptions_in_trouble"},
		{"events within one value", func() (string, []any) {
			query, args, _ := eventsQuery(carillon.EventFilter{Type: "package.added", Before: before, Limit: 50}, oneFeed)
			return query, args
		}, "event_scopes"},
		{"events within several values", func() (string, []any) {
			query, args, _ := eventsQuery(carillon.EventFilter{Before: before, Limit: 50}, twoFeeds)
			return query, args
		}, "events_by_time"},
		{"events to prune", func() (string, []any) { return prunableEvents, []any{2, 1, "evt_1", 1000} }, "events_by_time"},
	}
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s, err := Open(t.Context(), databaseURL, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		for _, within := range []struct {
			name   string
			to     carillon.Confinement
			states []carillon.DeliveryState
			index  string
		}{
			{"one value", oneFeed, nil, "event_scopes"},
			{"one value in a state", oneFeed, failed, "deliveries_by_state"},
			{"several values", twoFeeds, nil, "deliveries_by_time"},
		} {
			t.Run("deliveries within "+within.name, func(t *testing.T) {
				query, args, err := deliveriesQuery(carillon.DeliveryFilter{States: within.states, Before: carillon.DeliveryCursor{
					ReceivedAt: noon, EventID: "evt_1", SubscriptionID: "sub_1",
				}, Limit: 50}, within.to, s.driver)
				require.NoError(t, err)
				plan := explain(t, s, query, args)
				require.Contains(t, plan, within.index)
				for _, costly := range []string{"Seq Scan", "TEMP B-TREE", "SCAN deliveries\n"} {
					require.NotContains(t, plan, costly)
				}
				// What PostgreSQL sorts is the subscriptions of one event.
				require.NotContains(t, strings.ReplaceAll(plan, "Incremental Sort", ""), "Sort  ")
			})
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				query, args := test.query()
				plan := explain(t, s, query, args)
				require.Contains(t, plan, test.index)
				for _, costly := range []string{"Seq Scan", "Sort", "TEMP B-TREE", "SCAN deliveries\n"} {
					require.NotContains(t, plan, costly)
				}
			})
		}
	})
}

func explain(t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	var lines []string
	require.NoError(t, s.write(t.Context(), func(tx *sqlx.Tx) error {
		if strings.HasPrefix(tx.DriverName(), "sqlite") {
			rows, err := list[struct {
				ID      int    `db:"id"`
				Parent  int    `db:"parent"`
				NotUsed int    `db:"notused"`
				Detail  string `db:"detail"`
			}](t.Context(), tx, "EXPLAIN QUERY PLAN "+query, args...)
			for _, row := range rows {
				lines = append(lines, row.Detail)
			}
			return err
		}
		// An empty table is read from its beginning, unless that is forbidden.
		for _, setting := range []string{"enable_seqscan", "enable_sort", "enable_bitmapscan"} {
			if _, err := exec(t.Context(), tx, "SET LOCAL "+setting+" = off"); err != nil {
				return err
			}
		}
		var err error
		lines, err = list[string](t.Context(), tx, "EXPLAIN "+query, args...)
		return err
	}))
	return strings.Join(lines, "\n") + "\n"
}
